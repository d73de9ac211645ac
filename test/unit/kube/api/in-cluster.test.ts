import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inClusterAccess, isInCluster } from '../../../../src/kube/api/in-cluster.js'

const ENV = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }

t.test('a pod reaches its API server as its service account, whose token is renewed', async (t) => {
  const folder = t.testdir({ token: 'first', 'ca.crt': 'PEM' })
  const access = inClusterAccess(ENV, folder)
  t.equal(access.server.href, 'https://10.96.0.1/')
  t.equal(await access.authority?.read(), 'PEM')
  t.same(await access.credentials.proof(), { token: 'first', certificate: undefined })
  writeFileSync(join(folder, 'token'), 'second')
  access.credentials.expire()
  t.match(await access.credentials.proof(), { token: 'second' })
})

t.test('the API server may have an IPv6 address', async (t) => {
  const access = inClusterAccess({ ...ENV, KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' })
  t.equal(access.server.href, 'https://[fd00::1]:6443/')
})

t.test('where the kubelet said nothing or nonsense, the variable is named', async (t) => {
  t.notOk(isInCluster({}))
  t.ok(isInCluster(ENV))
  t.throws(() => inClusterAccess({}), { code: 'invalid', field: 'KUBERNETES_SERVICE_HOST' })
  t.throws(() => inClusterAccess({ KUBERNETES_SERVICE_HOST: 'x' }), {
    code: 'invalid',
    field: 'KUBERNETES_SERVICE_PORT',
  })
  t.throws(() => inClusterAccess({ ...ENV, KUBERNETES_SERVICE_PORT: 'x' }), { code: 'invalid', message: /'x'/ })
  t.throws(() => inClusterAccess({ ...ENV, KUBERNETES_SERVICE_HOST: 'a b' }), { code: 'invalid', message: /'a b'/ })
})
