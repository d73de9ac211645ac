import t from 'tap'
import { FAMILIES, IPV4 } from '../../../../src/base/family.js'
import { MESSAGE } from '../../../../src/codec/ct/constants.js'
import { decodeFlow, deleteFlow, type Flow } from '../../../../src/codec/ct/flow.js'
import { type Message, Writer } from '../../../../src/codec/wire.js'

const ADDRESSES = { ipv4: ['192.0.2.9', '192.0.2.1'], ipv6: ['fd00::9', 'fd00::1'] } as const
const PORTS = { protocol: 17, sourcePort: 40_000, destinationPort: 53 }

const flowOf = (family: Flow['family'], zone = 0): Flow => {
  const [source, destination] = ADDRESSES[family.name]
  const original = { source, destination, ...PORTS }
  return { family, original, reply: original, status: 0, id: 0xfffffffe, zone }
}

/** What deletes a flow names it as a list of flows does, but for the way of the answers: here the same again. */
function asListed(flow: Flow): Message {
  const writer = new Writer()
  deleteFlow(flow).body(writer)
  const payload = writer.bytes()
  const reply = Buffer.from(payload.subarray(4, 4 + payload.readUInt16LE(4)))
  reply.writeUInt16LE(0x8002, 2)
  return { type: MESSAGE.NEW, flags: 0, sequence: 1, port: 0, payload: Buffer.concat([payload, reply]) }
}

t.test('a flow is named by its family, its first packet, its ID and its zone', async (t) => {
  for (const family of FAMILIES)
    for (const zone of [0, 7]) t.strictSame(decodeFlow(asListed(flowOf(family, zone))), flowOf(family, zone))
})

t.test('what is no flow with ports is not read', async (t) => {
  const message = asListed(flowOf(IPV4))
  t.equal(decodeFlow({ ...message, type: MESSAGE.DELETE }), undefined, 'a message of another type')
  t.equal(decodeFlow({ ...message, payload: Buffer.of(7, 0, 0, 0) }), undefined, 'another family')
  t.equal(decodeFlow({ ...message, payload: Buffer.of(2, 0, 0, 0) }), undefined, 'nothing in it')
  t.equal(decodeFlow({ ...message, payload: message.payload.subarray(0, -52) }), undefined, 'one way only')
})

t.test('a message that is cut off is refused', async (t) => {
  const message = asListed(flowOf(IPV4))
  t.throws(() => decodeFlow({ ...message, payload: message.payload.subarray(0, 20) }), { code: 'invalid' })
})
