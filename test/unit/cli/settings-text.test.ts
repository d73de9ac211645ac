import t from 'tap'
import {
  effectiveSettings,
  environmentSettings,
  fileSettings,
  flagSettings,
} from '../../../src/daemon/effective-settings.js'
import { SETTING_KEYS } from '../../../src/daemon/settings.js'
import {
  optionsText,
  SETTING_OPTIONS,
  settingRows,
  settingsJson,
  settingsText,
} from '../../../src/cli/settings-text.js'

const HERE = { env: {}, hostname: 'host-1', namespace: undefined }

const EFFECTIVE = effectiveSettings(
  HERE,
  flagSettings({ source: 'dir:/a: b #c', 'stop-on-stdin-end': true }),
  environmentSettings({ NETLOOM_NODE_CIDR: '10.0.0.0/8,fd00::/8' }),
  fileSettings('mtu: 1400\nnode: "1e3"\n', '/etc/c.yaml'),
)

t.test('what is in force is told with who said so', async (t) => {
  const lines = settingsText(EFFECTIVE).trimEnd().split('\n')
  t.equal(lines.length, SETTING_KEYS.length)
  for (const line of [
    /^source: "dir:\/a: b #c" +# --source$/,
    /^# kubeconfig: +# default$/,
    /^mtu: 1400 +# \/etc\/c\.yaml:1$/,
    /^node-cidr: \[10\.0\.0\.0\/8, "?fd00::\/8"?\] +# NETLOOM_NODE_CIDR$/,
    /^# vxlan-port: 4789 +# default$/,
    /^stop-on-stdin-end: true +# --stop-on-stdin-end$/,
  ])
    t.equal(lines.filter((each) => line.test(each)).length, 1, String(line))
})

t.test('it is a file that sets the same', async (t) => {
  const again = effectiveSettings(HERE, fileSettings(settingsText(EFFECTIVE), 'again.yaml'))
  t.same(again.settings, EFFECTIVE.settings)
  t.same([...again.given.keys()].sort(), [...EFFECTIVE.given.keys()].sort())
})

t.test('programs get values with their types', async (t) => {
  const json = JSON.parse(settingsJson(EFFECTIVE)) as Record<string, unknown>
  t.same(json['mtu'], { value: 1400, origin: 'file', place: '/etc/c.yaml:1: mtu' })
  t.same(json['node'], { value: '1e3', origin: 'file', place: '/etc/c.yaml:2: node' })
  t.same(json['kubeconfig'], { value: null, origin: 'default' })
  t.same(json['node-cidr'], {
    value: ['10.0.0.0/8', 'fd00::/8'],
    origin: 'environment',
    place: 'NETLOOM_NODE_CIDR',
  })
})

t.test('every setting is an option: a switch, a text, or a text that may be repeated', async (t) => {
  t.same(SETTING_OPTIONS['stop-on-stdin-end'], { type: 'boolean' })
  t.same(SETTING_OPTIONS['mtu'], { type: 'string', multiple: false })
  t.same(SETTING_OPTIONS['node-cidr'], { type: 'string', multiple: true })
  t.equal(Object.keys(SETTING_OPTIONS).length, SETTING_KEYS.length)
})

t.test('the help of an option says its default, and whether it may be repeated', async (t) => {
  const rows = new Map(settingRows())
  t.match(rows.get('--vxlan-port N'), /\(default 4789\)$/)
  t.match(rows.get('--cni-wait DURATION'), /\(default 10s\)$/)
  t.match(rows.get('--node NAME'), /\(default NODE_NAME, else the host name\)$/)
  t.match(rows.get('--node-cidr CIDR'), /; may be repeated$/)
  t.notMatch(rows.get('--stop-on-stdin-end'), /default/)
})

t.test('the explanation of a long option is on a line of its own', async (t) => {
  t.equal(
    optionsText([
      ['-a', 'short'],
      [`--${'a'.repeat(30)}`, 'long'],
    ]),
    `  -a${' '.repeat(27)}short\n  --${'a'.repeat(30)}\n${' '.repeat(31)}long\n`,
  )
})
