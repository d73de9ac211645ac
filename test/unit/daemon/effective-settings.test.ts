import t from 'tap'
import {
  effectiveSettings,
  environmentSettings,
  fileSettings,
  flagSettings,
  shownSettings,
} from '../../../src/daemon/effective-settings.js'
import { SETTING_KEYS, type Surroundings } from '../../../src/daemon/settings.js'

const HERE: Surroundings = { env: {}, hostname: 'host-1', namespace: undefined }
const FILE = '/etc/netloom/config.yaml'

interface Sources {
  readonly flags?: Parameters<typeof flagSettings>[0]
  readonly env?: Surroundings['env']
  readonly file?: string
  readonly surroundings?: Surroundings
}

const settle = ({ flags = { source: 'dir:/objects' }, env = {}, file = '', surroundings = HERE }: Sources) =>
  effectiveSettings(surroundings, flagSettings(flags), environmentSettings(env), fileSettings(file, FILE))

t.test('nothing but a source: all else has its default', async (t) => {
  const { settings } = settle({})
  t.match(settings, {
    source: { kind: 'directory', path: '/objects' },
    kubeconfig: undefined,
    node: 'host-1',
    socket: '/run/netloom/agent.sock',
    stateDir: '/run/netloom/state',
    masqueradeExcept: [],
    routeMode: 'direct',
    vxlanPort: 4789,
    vxlanVni: 110,
    mtu: 'auto',
    nodePrefixLengthIpv4: 24,
    nodePrefixLengthIpv6: 64,
    cniBinDir: undefined,
    cniConfName: '10-netloom.conflist',
    cniWait: 10_000,
    healthAddress: 'off',
    logLevel: 'info',
    stopOnStdinEnd: false,
  })
  t.same(Object.keys(settings), SETTING_KEYS)
})

t.test('in a cluster even the source has', async (t) => {
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', NODE_NAME: 'node-7' }
  const { settings } = settle({ flags: {}, env, surroundings: { env, hostname: 'x', namespace: 'netloom' } })
  t.match(settings, { source: { kind: 'api' }, node: 'node-7', routeMode: 'auto', claimNamespace: 'netloom' })
})

t.test('a flag overrules a variable, a variable the file, the file the default', async (t) => {
  const flags = { source: 'dir:/objects', mtu: '1400' }
  const env = { NETLOOM_MTU: '1500', NETLOOM_NODE: 'by-variable' }
  const file = 'mtu: 1600\nnode: by-file\nlog-level: warn\n'
  const shown = shownSettings(settle({ flags, env, file }))
  const told = (name: string) => shown.find((setting) => setting.name === name)
  t.same(told('mtu'), { name: 'mtu', value: 1400, origin: 'flag', place: '--mtu' })
  t.same(told('node'), { name: 'node', value: 'by-variable', origin: 'environment', place: 'NETLOOM_NODE' })
  t.same(told('log-level'), { name: 'log-level', value: 'warn', origin: 'file', place: `${FILE}:3: log-level` })
  t.same(told('vxlan-vni'), { name: 'vxlan-vni', value: 110, origin: 'default', place: undefined })
})

t.test('several values: repeated flags, commas, lists of the file', async (t) => {
  const networks = ['10.0.0.0/8', 'fd00::/8']
  const rows: Sources[] = [
    { flags: { source: 'dir:/x', 'masquerade-except': networks } },
    { flags: { source: 'dir:/x', 'masquerade-except': [networks.join(',')] } },
    { env: { NETLOOM_MASQUERADE_EXCEPT: networks.join(', ') } },
    { file: 'masquerade-except:\n- 10.0.0.0/8\n- fd00::/8\n' },
    { file: 'masquerade-except: 10.0.0.0/8, fd00::/8' },
    { file: '{"masquerade-except": ["10.0.0.0/8", "fd00::/8"]}' },
  ]
  for (const row of rows)
    t.same(
      settle(row).settings.masqueradeExcept.map(({ address, prefix }) => `${address}/${prefix}`),
      networks,
      JSON.stringify(row),
    )
})

t.test('plain values of a file are what they are as text', async (t) => {
  const file = 'mtu: 1400\nstop-on-stdin-end: true\nvxlan-port: "4789"\nroute-mode: vxlan\nhealth-address: off\n'
  const { settings } = settle({ file })
  t.match(settings, { mtu: 1400, stopOnStdinEnd: true, vxlanPort: 4789, routeMode: 'vxlan', healthAddress: 'off' })
})

t.test('what is empty is not set', async (t) => {
  for (const file of ['', '# mtu: 1\n', '---\n', 'mtu:\n', 'mtu: null\n', '{}'])
    t.equal(settle({ file }).given.size, 1, JSON.stringify(file))
  t.equal(settle({ env: { NETLOOM_MTU: '' } }).given.size, 1)
  t.same(settle({ env: { NETLOOM_NODE_CIDR: ' , ' } }).settings.nodeCidr, [])
})

const REFUSED: Readonly<Record<string, readonly [sources: Sources, message: string | RegExp]>> = {
  'an unknown key of the file, with the line and the closest known': [
    { file: 'mtu: 1400\nrotue-mode: direct' },
    `${FILE}:2: rotue-mode: is no setting; did you mean route-mode?`,
  ],
  'the same in JSON': [{ file: '{"mtuu": 1400}' }, `${FILE}: mtuu: is no setting; did you mean mtu?`],
  'a key that nothing is close to': [{ file: 'frobnicate: 1' }, `${FILE}:1: frobnicate: is no setting`],
  'a key that every object has': [{ file: 'constructor: 1' }, `${FILE}:1: constructor: is no setting`],
  'a key in the spelling of the code': [
    { file: 'routeMode: direct' },
    `${FILE}:1: routeMode: is no setting; did you mean route-mode?`,
  ],
  'a key that stands twice': [{ file: 'mtu: 1\nmtu: 2' }, /config\.yaml:2: .*unique/],
  'an unknown variable of ours': [
    { env: { NETLOOM_VXLAN_PROT: '1' } },
    'NETLOOM_VXLAN_PROT: is no variable of the agent; did you mean NETLOOM_VXLAN_PORT?',
  ],
  'the same, though it is empty': [{ env: { NETLOOM_NOPE: '' } }, /^NETLOOM_NOPE: is no variable/],
  'a wrong flag': [{ flags: { source: 'x' } }, "--source: 'x' is neither dir:PATH nor api"],
  'a wrong variable': [{ env: { NETLOOM_MTU: 'x' } }, /^NETLOOM_MTU: 'x' is not auto or a number from 576 to 65535$/],
  'a wrong value of the file': [{ file: '\nmtu: 1' }, /^\/etc\/netloom\/config\.yaml:2: mtu: '1' is not/],
  'a network without its prefix': [
    { file: 'cluster-networks: [10.0.0.0]' },
    `${FILE}:1: cluster-networks: '10.0.0.0' is not ADDRESS/PREFIX`,
  ],
  'a list for one value': [{ file: 'mtu: [1400]' }, `${FILE}:1: mtu: is a list, and takes one value`],
  'a flag that stands for nothing': [{ flags: { source: '' } }, /^--source: '' is neither/],
  'a mapping': [{ file: 'mtu: {a: 1}' }, `${FILE}:1: mtu: a mapping is not a plain value`],
  'a list within a list': [{ file: 'node-cidr: [[]]' }, /node-cidr: a list is not a plain value/],
  'a file that is no mapping': [{ file: '- mtu' }, `${FILE}: is not a mapping of settings`],
  'a file that is no YAML': [{ file: 'mtu: [' }, /^\/etc\/netloom\/config\.yaml:1: /],
  'two documents': [{ file: 'mtu: 1400\n---\nnode: x' }, `${FILE}: holds more than one document`],
  'no source': [{ flags: {} }, /^--source: is needed/],
}

for (const [name, [sources, message]] of Object.entries(REFUSED))
  t.test(`refused by its name: ${name}`, async (t) => {
    t.throws(() => settle(sources), { code: 'invalid', message })
  })

t.test("variables of other programs of ours, and other people's, are left alone", async (t) => {
  t.equal(settle({ env: { NETLOOM_PROGRAM: '/x', NETLOOM_CONFIG: FILE, HOME: '/root', MTU: 'x' } }).given.size, 1)
})
