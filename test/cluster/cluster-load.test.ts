import t from 'tap'
import { cidrContains, parseCidr } from '../../src/base/ip.js'
import { type KubeObject } from '../support/cluster-client.js'
import { fill, LOAD_NAMESPACE, podName, serviceAddress, serviceName } from '../support/cluster-load.js'
import { ControlPlane, withoutControlPlane } from '../support/control-plane.js'

const LOAD = { services: 20, endpointsPerService: 3, pods: 30, nodes: 4 }

interface Node extends KubeObject {
  readonly spec: { readonly podCIDR: string }
}
interface Pod extends KubeObject {
  readonly spec: { readonly nodeName: string }
  readonly status: { readonly podIP: string; readonly phase: string }
}
interface Slice extends KubeObject {
  readonly endpoints: readonly { addresses: string[]; nodeName: string; targetRef: { name: string } }[]
}

const named = <T extends KubeObject>(objects: readonly T[]): Map<string, T> =>
  new Map(objects.map((object) => [object.metadata.name, object]))

/** Names of all fields, and in the place of values what they are. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, field]) => (name === 'managedFields' ? [] : [[name, shapeOf(field)]])),
  )
}

t.test('a large cluster for measurements', { skip: withoutControlPlane() }, async (t) => {
  const plane = await ControlPlane.start({ controllers: [] })
  t.teardown(() => plane.stop())
  let told: readonly number[] = []
  await fill(plane, LOAD, { progress: (...numbers) => (told = numbers) })
  t.strictSame(told, [94, 94])
  const nodes = named((await plane.admin.list('v1', 'Node')) as Node[])
  const pods = named((await plane.admin.list('v1', 'Pod', LOAD_NAMESPACE)) as Pod[])
  const slices = (await plane.admin.list('discovery.k8s.io/v1', 'EndpointSlice', LOAD_NAMESPACE)) as Slice[]

  t.test('has as many objects as asked for', async (t) => {
    t.equal(nodes.size, 4)
    t.equal(pods.size, 30)
    t.equal(slices.length, 20)
    t.equal((await plane.admin.list('v1', 'Service', LOAD_NAMESPACE)).length, 20)
  })

  t.test('every pod runs with an address of its node', async (t) => {
    t.ok(
      [...pods.values()].every(({ spec: { nodeName }, status: { podIP, phase } }) => {
        const { podCIDR } = nodes.get(nodeName)!.spec
        return phase === 'Running' && cidrContains(parseCidr(podCIDR), podIP)
      }),
    )
    t.equal(new Set([...pods.values()].map(({ status }) => status.podIP)).size, 30)
  })

  t.test('endpoints are those of pods', async (t) => {
    t.ok(
      slices
        .flatMap(({ endpoints }) => endpoints)
        .every(({ addresses, nodeName, targetRef }) => {
          const { spec, status } = pods.get(targetRef.name)!
          return addresses.length === 1 && addresses[0] === status.podIP && nodeName === spec.nodeName
        }),
    )
  })

  t.test('what was written past the API server is as what was not', async (t) => {
    const [first, second] = [pods.get(podName(0))!, pods.get(podName(1))!]
    t.strictSame(shapeOf(second), shapeOf(first))
    t.not(second.metadata.uid, first.metadata.uid)
    t.match(second, { spec: { dnsPolicy: 'ClusterFirst' } }, 'with defaults')
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { namespace: LOAD_NAMESPACE, name: serviceName(7) } }
    const changed = await plane.admin.patch(service, { spec: { sessionAffinity: 'ClientIP' } })
    t.match(changed, { spec: { sessionAffinity: 'ClientIP', clusterIP: serviceAddress(7) } })
    const rival = {
      ...service,
      metadata: { name: 'rival' },
      spec: { clusterIP: serviceAddress(8), ports: [{ port: 1 }] },
    }
    await t.rejects(plane.create(rival), { code: 'invalid', message: /already allocated/ })
  })

  t.test('ends where it is told to', async (t) => {
    await t.rejects(fill(plane, LOAD, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })
})
