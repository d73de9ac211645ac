import t from 'tap'
import { IPV4 } from '../../../src/base/family.js'
import { FLOW_ATTR, IP_ATTR, MESSAGE, PROTOCOL_ATTR, TUPLE_ATTR } from '../../../src/codec/ct/constants.js'
import { CONTROL, FLAG, type Writer } from '../../../src/codec/wire.js'
import { deleteFlows } from '../../../src/kernel/flows.js'
import { Talk } from '../../../src/kernel/talk.js'
import { type FlowsOp } from '../../../src/ops/op.js'
import { acknowledgement, reply, ScriptedTransport } from '../../support/transport.js'

const [ENOENT, EPERM] = [2, 1]
const UDP = 17
const IP = IP_ATTR.ipv4

function writeTuple(writer: Writer, attribute: number, [from, fromPort, to, toPort]: [string, number, string, number]) {
  const tuple = writer.nest(attribute)
  const addresses = writer.nest(TUPLE_ATTR.IP)
  writer.attrIp(IP.source, from).attrIp(IP.destination, to).end(addresses)
  const protocol = writer.nest(TUPLE_ATTR.PROTOCOL)
  writer.attrU8(PROTOCOL_ATTR.NUMBER, UDP).attrBe16(PROTOCOL_ATTR.SOURCE_PORT, fromPort)
  writer.attrBe16(PROTOCOL_ATTR.DESTINATION_PORT, toPort).end(protocol).end(tuple)
}

/** A kernel with one flow to port 53 of 192.0.2.1, which answers its deletion like this. */
function kernelWith(errno: number): ScriptedTransport {
  const kernel = new ScriptedTransport()
  kernel.answer = ([message]) => {
    const sequence = message?.sequence ?? 0
    if (message?.type === MESSAGE.DELETE) return [acknowledgement(sequence, { errno })]
    const body = (writer: Writer): void => {
      writer.u32(IPV4.af)
      writeTuple(writer, FLOW_ATTR.ORIGINAL, ['192.0.2.9', 4000, '192.0.2.1', 53])
      writeTuple(writer, FLOW_ATTR.REPLY, ['192.0.2.1', 53, '192.0.2.9', 4000])
    }
    return [
      reply({ type: MESSAGE.NEW, sequence, flags: FLAG.MULTI, body }),
      reply({ type: CONTROL.DONE, sequence, flags: FLAG.MULTI, body: (writer) => writer.u32(0) }),
    ]
  }
  return kernel
}

const op = (port: number): FlowsOp => ({
  kind: 'flows.delete',
  family: IPV4,
  protocol: UDP,
  port,
  address: '192.0.2.1',
})

const forget = (kernel: ScriptedTransport, ops: readonly FlowsOp[]): Promise<void> =>
  deleteFlows({ route: new Talk(new ScriptedTransport().open), netfilter: new Talk(kernel.open) }, ops)

const types = ({ sent }: ScriptedTransport): number[] => sent.flat().map(({ type }) => type)

t.test('a flow that ends while it is looked at is what was wanted', async (t) => {
  const kernel = kernelWith(ENOENT)
  await t.resolves(forget(kernel, [op(53)]))
  t.same(types(kernel), [MESSAGE.GET, MESSAGE.DELETE])
})

t.test('another refusal is told, with the flow', async (t) => {
  await t.rejects(forget(kernelWith(EPERM), [op(53)]), {
    code: 'kernel',
    errno: EPERM,
    operation: /^delete ipv4 flow 192\.0\.2\.9/,
  })
})

t.test('flows are listed once, however many ports are meant', async (t) => {
  const kernel = kernelWith(0)
  const ports = Array.from({ length: 100 }, (_, i) => op(1 + i))
  await forget(kernel, ports)
  t.same(types(kernel), [MESSAGE.GET, MESSAGE.DELETE])
})

t.test('nothing to forget asks nothing', async (t) => {
  const kernel = kernelWith(0)
  await forget(kernel, [])
  t.same(types(kernel), [])
})
