import t from 'tap'
import { Attributes } from '../../../../src/codec/attr.js'
import {
  type BridgeOptions,
  type BridgePort,
  readBridge,
  readBridgePort,
  readVxlan,
  type VxlanOptions,
  writeBridge,
  writeBridgePort,
  writeVxlan,
} from '../../../../src/codec/rtnl/link-kind.js'
import { Writer } from '../../../../src/codec/wire.js'

const attributes = (write: (writer: Writer) => void): Attributes => {
  const writer = new Writer()
  write(writer)
  return new Attributes(writer.bytes())
}

const bridge: Required<BridgeOptions> = {
  forwardDelay: 0,
  ageingTime: 30000,
  stp: true,
  vlanFiltering: false,
  mcastSnooping: true,
  nfCallIptables: false,
  nfCallIp6tables: true,
  nfCallArptables: false,
}
const port: Required<BridgePort> = {
  hairpin: true,
  bpduGuard: false,
  learning: true,
  unicastFlood: false,
  mcastFlood: true,
  bcastFlood: false,
  neighSuppress: true,
  isolated: true,
}

t.test('options of a bridge come back as they were written', async (t) => {
  t.strictSame(readBridge(attributes((writer) => writeBridge(writer, bridge))), bridge)
})

t.test('flags of a bridge port come back as they were written', async (t) => {
  t.strictSame(readBridgePort(attributes((writer) => writeBridgePort(writer, port))), port)
})

for (const flag of Object.keys(port) as (keyof BridgePort)[]) {
  t.test(`${flag} of a bridge port is one attribute, which no other flag has`, async (t) => {
    const alone = attributes((writer) => writeBridgePort(writer, { [flag]: true }))
    t.strictSame(readBridgePort(alone), { [flag]: true })
  })
}

const vxlans: Record<string, VxlanOptions> = {
  'an identifier alone': { id: 0xff_ffff },
  IPv4: { id: 1, link: 4, local: '192.0.2.1', group: '239.1.1.1', learning: false, port: 8472, udpChecksum: true },
  IPv6: { id: 1, link: 4, local: '2001:db8::1', group: 'ff02::1', learning: true, port: 4789 },
}
for (const [name, options] of Object.entries(vxlans)) {
  t.test(`options of a VXLAN come back as they were written: ${name}`, async (t) => {
    t.strictSame({ ...readVxlan(attributes((writer) => writeVxlan(writer, options))) }, options)
  })
}

const refused: Record<string, readonly [VxlanOptions, field: string]> = {
  'an identifier of more than 24 bits': [{ id: 0x100_0000 }, 'id'],
  'a negative identifier': [{ id: -1 }, 'id'],
  'addresses of two families': [{ id: 1, local: '192.0.2.1', group: 'ff02::1' }, 'group'],
  'an address that is none': [{ id: 1, local: 'localhost' }, 'local'],
  'a port beyond 65535': [{ id: 1, port: 65536 }, 'port'],
}
for (const [name, [options, field]] of Object.entries(refused)) {
  t.test(`a VXLAN with ${name} is refused`, async (t) => {
    t.throws(() => attributes((writer) => writeVxlan(writer, options)), { code: 'invalid', field })
  })
}
t.test('no VXLAN is read where its identifier is missing', async (t) => {
  t.equal(readVxlan(attributes(() => undefined)), undefined)
})
