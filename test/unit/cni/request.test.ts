import t from 'tap'
import { CNI_CODE, type CniCode, type CniFailure } from '../../../src/cni/error.js'
import { attachmentOf, COMMANDS, parseRequest, type RawRequest, versionForErrors } from '../../../src/cni/request.js'
import { CNI_VERSIONS } from '../../../src/cni/version.js'

const config = (fields: object = {}): Uint8Array =>
  Buffer.from(JSON.stringify({ cniVersion: '1.1.0', name: 'pods', type: 'netloom', ...fields }))

const ADD: RawRequest = {
  command: 'ADD',
  containerId: 'c-1',
  netns: '/run/netns/a',
  ifname: 'eth0',
  args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=7',
  config: config(),
}

const raw = (fields: RawRequest = {}): RawRequest => ({ ...ADD, ...fields })

t.test('a call is read with all that it says', async (t) => {
  const bytes = config({ mtu: 1400, ipam: { type: 'host-local' } })
  const { command, containerId, netns, ifname, args, environment, config: read } = parseRequest(raw({ config: bytes }))
  t.same([command, containerId, netns, ifname], ['ADD', 'c-1', '/run/netns/a', 'eth0'])
  t.match(args, { pod: 'shop/web-1', podUid: '7' })
  t.match(read, { cniVersion: '1.1.0', name: 'pods', delegate: 'host-local', bytes })
  t.strictSame(environment, {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c-1',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: ADD.args,
  })
  t.same(attachmentOf(parseRequest(raw())), { network: 'pods', containerId: 'c-1', ifname: 'eth0' })
})

t.test('every verb is read with the variables that the specification gives it, and no more', async (t) => {
  const needs: Record<(typeof COMMANDS)[number], readonly (keyof RawRequest)[]> = {
    ADD: ['containerId', 'netns', 'ifname'],
    CHECK: ['containerId', 'netns', 'ifname'],
    DEL: ['containerId', 'ifname'],
    GC: [],
    STATUS: [],
  }
  const gc = config({ 'cni.dev/valid-attachments': [] })
  for (const command of COMMANDS) {
    const minimal = { command, config: command === 'GC' ? gc : config() }
    const enough = { ...minimal, ...Object.fromEntries(needs[command].map((name) => [name, ADD[name]])) }
    t.equal(parseRequest(enough).command, command)
    for (const name of needs[command])
      for (const nothing of ['', undefined])
        t.throws(() => parseRequest({ ...enough, [name]: nothing }), {
          cniCode: CNI_CODE.INVALID_ENVIRONMENT,
          message: new RegExp(`is required for ${command}`),
        })
  }
})

const VARIABLES: Readonly<Record<string, readonly [fields: RawRequest, variable: string]>> = {
  'a pair of CNI_ARGS that is none': [{ args: 'x' }, 'CNI_ARGS'],
  'no command': [{ command: undefined }, 'CNI_COMMAND'],
  'an unknown command': [{ command: 'add' }, 'CNI_COMMAND'],
  'a command that every object has': [{ command: 'constructor' }, 'CNI_COMMAND'],
  'a command that is no text': [{ command: 1 }, 'CNI_COMMAND'],
  'no container': [{ containerId: '' }, 'CNI_CONTAINERID'],
  'a container that is no text': [{ containerId: 7 }, 'CNI_CONTAINERID'],
  'a container with a slash': [{ containerId: '../c' }, 'CNI_CONTAINERID'],
  'a container with a space': [{ containerId: 'c 1' }, 'CNI_CONTAINERID'],
  'a container that starts with a dash': [{ containerId: '-c' }, 'CNI_CONTAINERID'],
  'a container with a line break at its end': [{ containerId: 'c\n' }, 'CNI_CONTAINERID'],
  'no interface': [{ ifname: undefined }, 'CNI_IFNAME'],
  'an interface of 16 bytes': [{ ifname: 'e'.repeat(16) }, 'CNI_IFNAME'],
  'an interface of 8 characters and 16 bytes': [{ ifname: 'é'.repeat(8) }, 'CNI_IFNAME'],
  'an interface called .': [{ ifname: '.' }, 'CNI_IFNAME'],
  'an interface called ..': [{ ifname: '..' }, 'CNI_IFNAME'],
  'an interface with a slash': [{ ifname: 'a/b' }, 'CNI_IFNAME'],
  'an interface with a colon': [{ ifname: 'eth0:1' }, 'CNI_IFNAME'],
  'an interface with a space': [{ ifname: 'eth 0' }, 'CNI_IFNAME'],
  'an interface with a NUL': [{ ifname: 'eth\0' }, 'CNI_IFNAME'],
  'no namespace': [{ netns: '' }, 'CNI_NETNS'],
  'a namespace relative to nothing': [{ netns: 'run/netns/a' }, 'CNI_NETNS'],
  'a namespace with a NUL': [{ netns: '/run/netns/a\0b' }, 'CNI_NETNS'],
}

for (const [name, [fields, variable]] of Object.entries(VARIABLES))
  t.test(`refused with code 4, naming ${variable}: ${name}`, async (t) => {
    t.throws(() => parseRequest(raw(fields)), {
      cniCode: CNI_CODE.INVALID_ENVIRONMENT,
      field: variable,
      message: new RegExp(variable),
    })
  })

const KEYS: Readonly<Record<string, readonly [fields: RawRequest, code: CniCode, field: string | undefined]>> = {
  'nothing on standard input': [{ config: undefined }, CNI_CODE.DECODE, undefined],
  'an empty standard input': [{ config: new Uint8Array() }, CNI_CODE.DECODE, undefined],
  'text in the place of bytes': [{ config: '{}' }, CNI_CODE.DECODE, undefined],
  'no JSON': [{ config: Buffer.from('{"cniVersion":') }, CNI_CODE.DECODE, undefined],
  'JSON that is no object': [{ config: Buffer.from('[]') }, CNI_CODE.DECODE, undefined],
  null: [{ config: Buffer.from('null') }, CNI_CODE.DECODE, undefined],
  'bytes that are no UTF-8': [{ config: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }, CNI_CODE.DECODE, undefined],
  'no version': [{ config: config({ cniVersion: undefined }) }, CNI_CODE.INVALID_CONFIG, 'cniVersion'],
  'a version of the future': [{ config: config({ cniVersion: '2.0.0' }) }, CNI_CODE.INCOMPATIBLE_VERSION, 'cniVersion'],
  'a version before results had interfaces': [{ config: config({ cniVersion: '0.2.0' }) }, CNI_CODE.INCOMPATIBLE_VERSION, 'cniVersion'],
  'a version that is a number': [{ config: config({ cniVersion: 1 }) }, CNI_CODE.INCOMPATIBLE_VERSION, 'cniVersion'],
  'no name': [{ config: config({ name: undefined }) }, CNI_CODE.INVALID_CONFIG, 'name'],
  'an empty name': [{ config: config({ name: '' }) }, CNI_CODE.INVALID_CONFIG, 'name'],
  'a name with a slash': [{ config: config({ name: 'a/b' }) }, CNI_CODE.INVALID_CONFIG, 'name'],
  'a name with a space, by which keys of leases are parted': [{ config: config({ name: 'a b' }) }, CNI_CODE.INVALID_CONFIG, 'name'],
} // prettier-ignore

for (const [name, [fields, code, field]] of Object.entries(KEYS))
  t.test(`refused with code ${code}${field === undefined ? '' : `, naming ${field}`}: ${name}`, async (t) => {
    const error = failure(() => parseRequest(raw(fields)))
    t.equal(error?.cniCode, code)
    t.equal(error?.field, field)
    if (field !== undefined) t.ok(error?.message.includes(field), error?.message ?? '')
  })

function failure(work: () => unknown): CniFailure | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error as CniFailure
  }
}

t.test('the versions that can be spoken are named in the refusal of another', async (t) => {
  const error = failure(() => parseRequest(raw({ config: config({ cniVersion: '0.1.0' }) })))
  for (const version of CNI_VERSIONS) t.ok(error?.message.includes(version), version)
})

t.test('every version is read', async (t) => {
  for (const cniVersion of CNI_VERSIONS)
    t.equal(parseRequest(raw({ config: config({ cniVersion }) })).config.cniVersion, cniVersion)
})

const LATER: readonly (readonly [command: string, version: string, allowed: boolean])[] = [
  ['CHECK', '0.3.1', false],
  ['CHECK', '0.4.0', true],
  ['GC', '1.0.0', false],
  ['GC', '1.1.0', true],
  ['STATUS', '1.0.0', false],
  ['STATUS', '1.1.0', true],
]

for (const [command, cniVersion, allowed] of LATER)
  t.test(`${command} with cniVersion ${cniVersion} is ${allowed ? 'read' : 'refused with code 1'}`, async (t) => {
    const error = failure(() => parseRequest(raw({ command, config: config({ cniVersion }) })))
    t.equal(error?.cniCode, allowed ? undefined : CNI_CODE.INCOMPATIBLE_VERSION)
    t.equal(error?.field, allowed ? undefined : 'cniVersion')
  })

t.test('what is wrong in CNI_ARGS keeps nothing from being removed', async (t) => {
  const args = 'Stranger=1'
  t.equal(failure(() => parseRequest(raw({ args })))?.field, 'CNI_ARGS')
  for (const command of ['DEL', 'GC', 'STATUS'])
    t.equal(
      failure(() => parseRequest(raw({ command, args }))),
      undefined,
      command,
    )
})

t.test('DEL and CHECK go by container, network and interface; DEL needs no namespace any more', async (t) => {
  const request = parseRequest(raw({ command: 'DEL', netns: '' }))
  t.equal(request.netns, '')
})

t.test('an error is told in the version of the configuration, else in the latest', async (t) => {
  t.equal(versionForErrors(raw({ config: config({ cniVersion: '0.4.0', name: 7 }) })), '0.4.0')
  t.equal(versionForErrors(raw({ config: config({ cniVersion: '7.0.0' }) })), '1.1.0')
  t.equal(versionForErrors(raw({ config: Buffer.from('{') })), '1.1.0')
  t.equal(versionForErrors({}), '1.1.0')
})
