import t from 'tap'
import { podsOf, resourcesOf } from '../../../../src/kube/api/resource.js'

t.test('every kind has its path, and claims are asked for where they are made', async (t) => {
  const kinds = (claimNamespace: string | undefined) =>
    resourcesOf({ node: 'n1', claimNamespace }).map(({ kind, path }) => `${kind} ${path}`)
  t.same(kinds(undefined), [
    'Node /api/v1/nodes',
    'Namespace /api/v1/namespaces',
    'NetworkPolicy /apis/networking.k8s.io/v1/networkpolicies',
    'Service /api/v1/services',
    'EndpointSlice /apis/discovery.k8s.io/v1/endpointslices',
    'Pod /api/v1/pods',
  ])
  t.equal(kinds('net').at(-1), 'SubnetClaim /apis/coordination.k8s.io/v1/namespaces/net/leases')
})

t.test('pods are those of the node until policies need all', async (t) => {
  t.same(podsOf('n1', false), { fieldSelector: 'spec.nodeName=n1' })
  t.same(podsOf('n1', true), {})
})
