import t from 'tap'
import { join } from 'node:path'
import { findAccess } from '../../../../src/kube/api/find-access.js'

const config = (server: string): string =>
  JSON.stringify({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c' } }],
    clusters: [{ name: 'c', cluster: { server } }],
  })

const IN_CLUSTER = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }

t.test('the option comes before KUBECONFIG, and that before the pod', async (t) => {
  const root = t.testdir({ a: config('https://a'), b: config('https://b') })
  const serverOf = async (kubeconfig: string | undefined, env: Record<string, string>) =>
    (await findAccess({ kubeconfig, env })).server.hostname
  const env = { ...IN_CLUSTER, KUBECONFIG: join(root, 'b') }
  t.equal(await serverOf(join(root, 'a'), env), 'a')
  t.equal(await serverOf(undefined, env), 'b')
  t.equal(await serverOf(undefined, { ...env, KUBECONFIG: '' }), '10.96.0.1')
})

t.test('where nothing says how, the error says what could', async (t) => {
  await t.rejects(findAccess({ kubeconfig: undefined, env: {} }), {
    code: 'invalid',
    message: /--kubeconfig.*KUBECONFIG/,
  })
  await t.rejects(findAccess({ kubeconfig: undefined, env: { KUBECONFIG: '/a:/b' } }), {
    code: 'invalid',
    field: 'KUBECONFIG',
  })
})
