import fc from 'fast-check'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { parseCidr, parseIpPrefix } from '../../../src/base/ip.js'
import {
  candidates,
  delegatedEnvironment,
  DELEGATED_COMMANDS,
  type DelegatedCommand,
  type Outcome,
  readOutcome,
} from '../../../src/cni/delegate.js'
import { cniError, PluginFailure } from '../../../src/cni/error.js'
import { COMMANDS } from '../../../src/cni/request.js'
import { requireVerb, type CniVersion } from '../../../src/cni/version.js'

const outcome = (fields: Partial<Outcome>): Outcome => ({ exit: 0, signal: null, stdout: '', stderr: '', ...fields })
const read = (command: DelegatedCommand, fields: Partial<Outcome>) =>
  readOutcome({ type: 'host-local', command }, outcome(fields))

t.test('a plugin gets the variables of the call, a PATH, and nothing else', async (t) => {
  const env = { containerId: 'c1', netns: '/run/netns/a', ifname: 'eth0', args: 'IP=10.1.0.9', path: '/opt/cni/bin' }
  t.strictSame(delegatedEnvironment({ command: 'ADD', env }, '/bin'), {
    PATH: '/bin',
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IP=10.1.0.9',
    CNI_PATH: '/opt/cni/bin',
  })
  t.strictSame(delegatedEnvironment({ command: 'GC', env: { path: '/opt/cni/bin', netns: '' } }, '/bin'), {
    PATH: '/bin',
    CNI_COMMAND: 'GC',
    CNI_PATH: '/opt/cni/bin',
  })
})

t.test('a plugin is looked for in the absolute folders of CNI_PATH, in their order', async (t) => {
  t.strictSame(candidates({ type: 'host-local', env: { path: '/b:/a/:rel::./x:/c d' } }), [
    '/b/host-local',
    '/a/host-local',
    '/c d/host-local',
  ])
  for (const path of ['', ':', 'relative:./x', undefined])
    t.throws(
      () => candidates({ type: 'host-local', env: path === undefined ? {} : { path } }),
      { code: 'invalid', cniCode: 4, field: 'CNI_PATH', message: /^CNI_PATH names no folder to find host-local in/ },
      path ?? 'none',
    )
})

t.test('the name of a plugin is a name and no path', async (t) => {
  for (const type of ['', '.', '..', '/bin/sh', '../sh', 'a/b', 'a\\b', 'a\0b', '/'])
    t.throws(
      () => candidates({ type, env: { path: '/opt/cni/bin' } }),
      { code: 'invalid', cniCode: 7, field: 'ipam.type', message: /^ipam\.type: .* is no plugin's name/ },
      type,
    )
  fc.assert(
    fc.property(fc.string(), (type) => {
      try {
        return candidates({ type, env: { path: '/opt/cni/bin' } }).every(
          (path) => path === `/opt/cni/bin/${type}` && path.split('/').length === 5,
        )
      } catch (error) {
        return error instanceof NetloomError
      }
    }),
  )
})

t.test('a verb that is newer than the configuration is refused', async (t) => {
  const refused = (version: CniVersion): string[] =>
    COMMANDS.filter((command) => {
      try {
        requireVerb(command, version)
        return false
      } catch (error) {
        t.match(cniError(error, version), {
          code: 1,
          details: new RegExp(`^cniVersion: ${command} came with .*, and the configuration is of ${version}$`),
        })
        return true
      }
    })
  t.same(refused('0.3.0'), ['CHECK', 'GC', 'STATUS'])
  t.same(refused('0.3.1'), ['CHECK', 'GC', 'STATUS'])
  t.same(refused('0.4.0'), ['GC', 'STATUS'])
  t.same(refused('1.0.0'), ['GC', 'STATUS'])
  t.same(refused('1.1.0'), [])
})

t.test('addresses are read from the answer to ADD, in the shape of any version', async (t) => {
  const addresses = {
    interfaces: [],
    ips: [{ address: parseIpPrefix('10.1.0.5/16'), gateway: '10.1.0.1' }, { address: parseIpPrefix('fd00::5/64') }],
    routes: [{ destination: parseCidr('0.0.0.0/0') }],
    dns: { nameservers: ['10.1.0.1'] },
  }
  const routes = [{ dst: '0.0.0.0/0' }]
  const dns = { nameservers: ['10.1.0.1'] }
  const rows: Readonly<Record<string, object>> = {
    '0.3.1': {
      ips: [
        { version: '4', address: '10.1.0.5/16', gateway: '10.1.0.1' },
        { version: '6', address: 'fd00::5/64' },
      ],
    },
    '1.0.0': { ips: [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }] },
    'interfaces that it should know nothing of': {
      interfaces: [{ name: 'x' }],
      ips: [
        { address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 0 },
        { address: 'fd00::5/64', interface: 0 },
      ],
    },
  }
  for (const [name, row] of Object.entries(rows))
    t.strictSame(read('ADD', { stdout: JSON.stringify({ ...row, routes, dns }) }), addresses, name)
})

t.test('other verbs answer by their exit code alone', async (t) => {
  for (const command of DELEGATED_COMMANDS.filter((name) => name !== 'ADD'))
    t.equal(read(command, { stdout: 'whatever' }), undefined, command)
})

t.test("a plugin's error keeps code and words", async (t) => {
  for (const command of DELEGATED_COMMANDS)
    for (const [stream, code] of [
      ['stdout', 11],
      ['stdout', 120],
      ['stderr', 50],
    ] as const) {
      const text = JSON.stringify({ cniVersion: '1.1.0', code, msg: 'no room', details: 'range 0 is full' })
      t.throws(
        () => read(command, { exit: 1, [stream]: text }),
        new PluginFailure('host-local', { code, msg: 'no room', details: 'range 0 is full' }),
      )
    }
  t.throws(
    () => read('ADD', { exit: 1, stdout: '{"code":7,"msg":"missing network name"}' }),
    new PluginFailure('host-local', { code: 7, msg: 'missing network name' }),
  )
})

const BROKEN: readonly [name: string, fields: Partial<Outcome>, code: number, details: string][] = [
  [
    'no error object',
    { exit: 1, stdout: 'panic!', stderr: 'goroutine 1\n\nexit status 2\n' },
    5,
    'plugin host-local: ADD ended with exit code 1 and no error that could be read: exit status 2',
  ],
  [
    'an error without a code',
    { exit: 1, stdout: '{"code":0,"msg":"x"}' },
    5,
    'plugin host-local: ADD ended with exit code 1 and no error that could be read',
  ],
  [
    'an error in other types',
    { exit: 3, stdout: '{"code":"7","msg":1}' },
    5,
    'plugin host-local: ADD ended with exit code 3 and no error that could be read',
  ],
  ['a signal', { exit: null, signal: 'SIGSEGV' }, 5, 'plugin host-local: ADD ended with signal SIGSEGV'],
  ['no answer', { stderr: 'hm' }, 6, 'plugin host-local: ADD answered no JSON: hm'],
  ['garbage', { stdout: '{"ips":' }, 6, 'plugin host-local: ADD answered no JSON'],
  ['another JSON', { stdout: '[]' }, 6, 'plugin host-local: ADD answered a list is not a mapping'],
  ['null', { stdout: 'null' }, 6, 'plugin host-local: ADD answered is missing'],
  [
    'a wrong address',
    { stdout: '{"ips":[{"address":"x"}]}' },
    6,
    'plugin host-local: ADD answered ips[0].address: "x" is not an IP address or network',
  ],
  ['no address', { stdout: '{"cniVersion":"1.0.0","dns":{}}' }, 5, 'plugin host-local: ADD gave no address'],
]

t.test('a plugin that does not do as the specification says is told of clearly', async (t) => {
  for (const [name, fields, code, details] of BROKEN) {
    try {
      read('ADD', fields)
      t.fail(name)
    } catch (error) {
      t.match(cniError(error, '1.1.0'), { code, details }, name)
    }
  }
})

t.test('a long last line is cut', async (t) => {
  t.throws(() => read('DEL', { exit: 1, stderr: 'x'.repeat(10_000) }), { code: 'io', message: /: x{400}\.\.\.$/ })
})

t.test('whatever a plugin prints is a result or an error of ours', async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.constantFrom(0, 1, null), (stdout, exit) => {
      try {
        return (read('ADD', { stdout, exit })?.ips.length ?? 0) > 0
      } catch (error) {
        return error instanceof NetloomError && error.code !== 'internal'
      }
    }),
  )
  t.pass()
})
