import t from 'tap'
import { Attributes } from '../../../../src/codec/attr.js'
import { type Request } from '../../../../src/codec/request.js'
import {
  ADDR_GEN_MODE,
  AF,
  IFF,
  IFLA,
  IFLA_INET,
  IFLA_INET6,
  IFLA_INFO,
  IPV4_DEVCONF,
  RTM,
} from '../../../../src/codec/rtnl/constants.js'
import {
  addLink,
  decodeLink,
  decodePortChange,
  deleteLink,
  deleteLinkGroup,
  dumpLinks,
  getLink,
  type Link,
  setBridgePort,
  setLink,
} from '../../../../src/codec/rtnl/link.js'
import { FLAG, Writer } from '../../../../src/codec/wire.js'

const payloadOf = (request: Request): Buffer => {
  const writer = new Writer()
  request.body(writer)
  return writer.bytes()
}
const attributesOf = (request: Request) => new Attributes(payloadOf(request).subarray(16))
const flagsOf = (request: Request) => [payloadOf(request).readUInt32LE(8), payloadOf(request).readUInt32LE(12)]

t.test('a new link must not exist yet, and can be echoed', async (t) => {
  const plain = addLink({ kind: 'dummy', name: 'd0' })
  t.match(plain, { type: RTM.NEWLINK, flags: FLAG.CREATE | FLAG.EXCL, operation: 'create link d0' })
  t.equal(addLink({ kind: 'dummy', name: 'd0' }, { echo: true }).flags, FLAG.CREATE | FLAG.EXCL | FLAG.ECHO)
})

t.test('up and down are said only where they are asked for', async (t) => {
  t.strictSame(flagsOf(setLink({ index: 1 }, {})), [0, 0])
  t.strictSame(flagsOf(setLink({ index: 1 }, { up: true })), [IFF.UP, IFF.UP])
  t.strictSame(flagsOf(setLink({ index: 1 }, { up: false })), [0, IFF.UP])
})

t.test('an alias that is taken away has no bytes', async (t) => {
  t.equal(attributesOf(setLink({ index: 1 }, { alias: '' })).bytes(IFLA.IFALIAS)?.length, 0)
})

t.test('a link is given by its index or by its name', async (t) => {
  for (const make of [getLink, deleteLink]) {
    const byIndex = make({ index: 7 })
    t.equal(payloadOf(byIndex).readUInt32LE(4), 7)
    t.notOk(attributesOf(byIndex).has(IFLA.IFNAME))
    const byName = make({ name: 'v0' })
    t.equal(payloadOf(byName).readUInt32LE(4), 0)
    t.equal(attributesOf(byName).string(IFLA.IFNAME), 'v0')
  }
})

t.test('requests say what they do', async (t) => {
  t.equal(setLink({ name: 'v0' }, { up: true }).operation, 'change link v0')
  t.equal(setBridgePort({ index: 7 }, { isolated: true }).operation, 'change bridge port 7')
  t.equal(deleteLink({ name: 'v0' }).operation, 'delete link v0')
  t.equal(deleteLinkGroup(7).operation, 'delete links of group 7')
  t.equal(getLink({ name: 'v0' }).operation, 'find link v0')
  t.equal(dumpLinks().operation, 'list links')
})

const refused: Record<string, readonly [make: () => Request, field: string]> = {
  'a name that is too long': [() => addLink({ kind: 'dummy', name: 'sixteen-letters-' }), 'name'],
  "a peer's name that is none": [() => addLink({ kind: 'veth', name: 'v0', peer: { name: '' } }), 'name'],
  'a MAC address that is none': [() => addLink({ kind: 'dummy', name: 'd0', mac: '02:00' }), 'mac'],
  'an MTU that is none': [() => setLink({ index: 1 }, { mtu: -1 }), 'mtu'],
  'index 0': [() => setLink({ index: 0 }, { up: true }), 'index'],
  'the deletion of index 0': [() => deleteLink({ index: 0 }), 'index'],
  'an index that is none': [() => getLink({ index: 2 ** 31 }), 'index'],
  'the deletion of the group of all other links': [() => deleteLinkGroup(0), 'group'],
  'a new name for a link that is given by its name': [() => setLink({ name: 'a' }, { name: 'b' }), 'name'],
  'the search for a name that is none': [() => getLink({ name: 'a/b' }), 'name'],
}
for (const [name, [make, field]] of Object.entries(refused)) {
  t.test(`${name} is refused before anything is sent`, async (t) => {
    t.throws(make, { code: 'invalid', field })
  })
}

/** A message as the kernel sends it. */
function linkPayload(family: number, flags: number, write: (writer: Writer) => unknown): Buffer {
  const writer = new Writer()
  writer.u8(family).zeros(3).u32(9).u32(flags).u32(0)
  writer.attrString(IFLA.IFNAME, 'x').attrU32(IFLA.MTU, 1400)
  write(writer)
  return writer.bytes()
}
const decoded = (flags: number, write: (writer: Writer) => unknown): Link | undefined =>
  decodeLink(linkPayload(0, flags, write))

t.test('up, running and loopback are bits of their own', async (t) => {
  const bits = (flags: number) => {
    const link = decoded(flags, () => undefined)
    return [link?.up, link?.running, link?.loopback]
  }
  t.strictSame(bits(0), [false, false, false])
  t.strictSame(bits(IFF.UP), [true, false, false])
  t.strictSame(bits(IFF.UP | IFF.RUNNING), [true, true, false])
  t.strictSame(bits(IFF.LOOPBACK), [false, false, true])
})

t.test('a veth tells its other end, and the namespace of that', async (t) => {
  t.match(
    decoded(0, (writer) => writer.attrU32(IFLA.LINK, 5).attrU32(IFLA.LINK_NETNSID, 3)),
    { index: 9, name: 'x', mtu: 1400, peerIndex: 5, netnsId: 3 },
  )
})

t.test('flags of a port are read for ports of bridges, not of bonds', async (t) => {
  const slave = (kind: string) =>
    decoded(0, (writer) => {
      const info = writer.nest(IFLA.LINKINFO)
      writer.attrString(IFLA_INFO.SLAVE_KIND, kind)
      const data = writer.nest(IFLA_INFO.SLAVE_DATA)
      writer.attrU8(33, 1).end(data).end(info)
    })
  t.strictSame(slave('bridge')?.port, { isolated: true })
  t.equal(slave('bond')?.port, undefined)
})

t.test("one family's view of a link is not taken for the link", async (t) => {
  const bridgeView = linkPayload(7, 0, (writer) => writer.attrU32(IFLA.MASTER, 2))
  t.equal(decodeLink(bridgeView), undefined)
  t.strictSame(decodePortChange(bridgeView), { index: 9, master: 2, port: undefined })
  t.equal(decodePortChange(linkPayload(0, 0, (writer) => writer.attrU32(IFLA.MASTER, 2))), undefined)
  t.equal(decodePortChange(linkPayload(7, 0, () => undefined)), undefined, 'a bridge itself is no port')
})

t.test('a message that is cut off is refused', async (t) => {
  const whole = linkPayload(0, 0, () => undefined)
  t.throws(() => decodeLink(whole.subarray(0, 15)), { code: 'invalid' })
  t.throws(() => decodeLink(whole.subarray(0, 21)), { code: 'invalid' })
  t.throws(() => decodePortChange(whole.subarray(0, 15)), { code: 'invalid' })
})

t.test('settings of the families stand in a nest for each', async (t) => {
  const families = attributesOf(setLink({ name: 'v0' }, { arpNotify: true, addrGenMode: ADDR_GEN_MODE.EUI64 })).nested(
    IFLA.AF_SPEC,
  )
  t.equal(families?.nested(AF.INET)?.nested(IFLA_INET.CONF)?.u32(IPV4_DEVCONF.ARP_NOTIFY), 1)
  t.equal(families?.nested(AF.INET6)?.u8(IFLA_INET6.ADDR_GEN_MODE), ADDR_GEN_MODE.EUI64)
  const quiet = attributesOf(setLink({ name: 'v0' }, { arpNotify: false })).nested(IFLA.AF_SPEC)
  t.equal(quiet?.nested(AF.INET)?.nested(IFLA_INET.CONF)?.u32(IPV4_DEVCONF.ARP_NOTIFY), 0)
  t.notOk(quiet?.has(AF.INET6))
  t.notOk(attributesOf(setLink({ name: 'v0' }, { up: true })).has(IFLA.AF_SPEC))
})
