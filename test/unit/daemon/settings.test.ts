import t from 'tap'
import { OTHER_VARIABLES } from '../../../src/base/names.js'
import {
  flagOf,
  isInCluster,
  nameOf,
  SETTING_KEYS,
  SETTINGS,
  type DefaultContext,
  variableOf,
} from '../../../src/daemon/settings.js'

const OUTSIDE: DefaultContext = { env: {}, hostname: 'Host-1', namespace: undefined, source: undefined }
const INSIDE: DefaultContext = {
  env: { KUBERNETES_SERVICE_HOST: '10.96.0.1', NODE_NAME: 'node-1' },
  hostname: 'host-1',
  namespace: 'netloom',
  source: { kind: 'api' },
}

t.test('a setting has one name, in three spellings', async (t) => {
  t.equal(nameOf('nodePrefixLengthIpv4'), 'node-prefix-length-ipv4')
  t.equal(flagOf('routeMode'), '--route-mode')
  t.equal(variableOf('routeMode'), 'NETLOOM_ROUTE_MODE')
})

t.test('no setting is called as something else is', async (t) => {
  const names = SETTING_KEYS.map(nameOf)
  t.equal(new Set(names).size, names.length)
  for (const name of ['config', 'print-config', 'json', 'help']) t.notOk(names.includes(name), name)
  for (const key of SETTING_KEYS) t.notOk(OTHER_VARIABLES.includes(variableOf(key)), key)
})

t.test('every setting says in a line what it is for', async (t) => {
  for (const key of SETTING_KEYS) t.match(SETTINGS[key].help, /^\S.{8,89}\S$/, key)
})

t.test('in a cluster the source is its API, elsewhere it must be said', async (t) => {
  t.equal(isInCluster(INSIDE), true)
  t.equal(isInCluster({ env: { KUBERNETES_SERVICE_HOST: '' } }), false)
  t.same(SETTINGS.source.fallback(INSIDE), { kind: 'api' })
  t.throws(() => SETTINGS.source.fallback(OUTSIDE), { code: 'invalid', field: '--source', message: /dir:PATH, or api/ })
})

t.test('defaults follow from where the agent runs', async (t) => {
  const defaultsOf = (context: DefaultContext) => ({
    node: SETTINGS.node.fallback(context),
    routeMode: SETTINGS.routeMode.fallback(context),
    claimNamespace: SETTINGS.claimNamespace.fallback(context),
    healthAddress: SETTINGS.healthAddress.fallback(context),
  })
  t.same(defaultsOf(INSIDE), {
    node: 'node-1',
    routeMode: 'auto',
    claimNamespace: 'netloom',
    healthAddress: { host: '127.0.0.1', port: 10_247 },
  })
  t.same(defaultsOf({ ...OUTSIDE, source: { kind: 'directory', path: 'x' } }), {
    node: 'host-1', // as the kubelet names a Node after its host
    routeMode: 'direct',
    claimNamespace: 'kube-system',
    healthAddress: 'off',
  })
})
