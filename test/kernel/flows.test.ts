import t from 'tap'
import { IPV4, IPV6 } from '../../src/base/family.js'
import { decodeFlow, deleteFlow, dumpFlows } from '../../src/codec/ct/flow.js'
import { type FlowsOp } from '../../src/ops/op.js'
import { opText } from '../../src/ops/text.js'
import { connect, run, skipWithout } from '../support/namespaces.js'

const connection = connect()
t.teardown(() => connection.close())
const skip = skipWithout('conntrack', '--version')

function tool(program: string, text: string): string {
  const { status, stdout, stderr } = run(program, text.split(' '))
  if (status !== 0) throw new Error(`${program} ${text}: ${stderr}`)
  return stdout
}

const [UDP, SCTP] = [17, 132]
const NODE = '-s 192.0.2.9 -d 192.0.2.1'
const NODE_V6 = '-s fd00:2::9 -d fd00:2::1'

/** Flows by the port that their client sends from, which tells them apart. */
const FLOWS: Readonly<Record<number, string>> = {
  1001: `-p udp ${NODE} --dport 53`,
  1002: `-p udp ${NODE} --dport 53 --dst-nat 10.1.0.5:5353`,
  1003: `-p udp ${NODE} --dport 53 --dst-nat 10.1.0.6:5353`,
  1004: `-p udp ${NODE} --dport 54`,
  1005: `-p udp ${NODE} --dport 53 --zone 7`,
  1006: '-p udp -s 192.0.2.9 -d 198.51.100.1 --dport 53',
  1007: '-p udp -s 127.0.0.1 -d 127.0.0.53 --dport 53',
  1008: `-p tcp ${NODE} --dport 53 --state ESTABLISHED`,
  1009: `-p sctp ${NODE} --dport 53 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2`,
  1010: `-p udp ${NODE_V6} --dport 53`,
  1011: `-p udp ${NODE_V6} --dport 53 --dst-nat [fd00:1::5]:5353`,
  1012: '-p udp -s 192.0.2.9 -d 192.0.2.2 --dport 53',
}

const listed = (): number[] =>
  ['ipv4', 'ipv6']
    .flatMap((family) => tool('conntrack', `-L -f ${family}`).match(/(?<= sport=)1\d{3}(?= dport=\d+ )/g) ?? [])
    .map(Number)
    .filter((port) => port in FLOWS)
    .sort()
const present = (): number[] => [...new Set(listed())]

/** The node has the addresses 192.0.2.1, 192.0.2.2 and fd00:2::1, and these flows. */
function prepare(): void {
  run('ip', ['link', 'set', 'lo', 'up'])
  for (const address of ['192.0.2.1/32', '192.0.2.2/32', 'fd00:2::1/128'])
    run('ip', ['address', 'replace', address, 'dev', 'lo'])
  run('conntrack', ['-F'])
  for (const [port, flow] of Object.entries(FLOWS)) tool('conntrack', `-I ${flow} --sport ${port} --timeout 100`)
}

const CASES: Readonly<Record<string, readonly [ops: readonly Omit<FlowsOp, 'kind'>[], gone: readonly number[]]>> = {
  'to any address of the node, translated by nobody': [
    [{ family: IPV4, protocol: UDP, port: 53 }],
    [1001, 1005, 1007, 1012],
  ],
  'to one address': [[{ family: IPV4, protocol: UDP, port: 53, address: '192.0.2.1' }], [1001, 1005]],
  'to where they were translated': [
    [{ family: IPV4, protocol: UDP, port: 53, target: { address: '10.1.0.5', port: 5353 } }],
    [1002],
  ],
  'to another port there': [
    [{ family: IPV4, protocol: UDP, port: 53, target: { address: '10.1.0.5', port: 5354 } }],
    [],
  ],
  'of IPv6': [[{ family: IPV6, protocol: UDP, port: 53 }], [1010]],
  'of SCTP': [[{ family: IPV4, protocol: SCTP, port: 53 }], [1009]],
  'of several kinds at once': [
    [
      { family: IPV4, protocol: UDP, port: 54 },
      { family: IPV4, protocol: UDP, port: 53, target: { address: '10.1.0.6', port: 5353 } },
      { family: IPV6, protocol: UDP, port: 53, target: { address: 'fd00:1::5', port: 5353 } },
      { family: IPV4, protocol: SCTP, port: 53, address: '192.0.2.1' },
    ],
    [1003, 1004, 1009, 1011],
  ],
  'that are not there': [[{ family: IPV4, protocol: UDP, port: 9 }], []],
}

for (const [name, [ops, gone]] of Object.entries(CASES))
  t.test(`flows ${name} are forgotten, and no others`, { skip }, async (t) => {
    prepare()
    const all = Object.keys(FLOWS).map(Number)
    t.same(present(), all)
    const plan = ops.map((op): FlowsOp => ({ kind: 'flows.delete', ...op }))
    await connection.applier.apply(plan)
    t.same(
      present(),
      all.filter((port) => !gone.includes(port)),
    )
    await t.resolves(connection.applier.apply(plan), 'and again')
  })

t.test('the line of an operation, typed in, does the same', { skip }, async (t) => {
  // The line cannot say "any address of the node".
  const told = Object.values(CASES).filter(([ops]) => ops.every((op) => 'address' in op || 'target' in op))
  t.not(told.length, 0)
  for (const [ops, gone] of told) {
    prepare()
    for (const op of ops)
      run(
        'conntrack',
        opText({ kind: 'flows.delete', ...op })
          .split(' ')
          .slice(1),
      )
    t.same(
      Object.keys(FLOWS).map(Number).filter((port) => !present().includes(port)),
      gone,
    ) // prettier-ignore
  }
})

t.test('the kernel leaves out flows of other protocols and ports', { skip }, async (t) => {
  prepare()
  const ports = async (...filter: Parameters<typeof dumpFlows>): Promise<number[]> =>
    (await connection.netfilter.dump(dumpFlows(...filter)))
      .flatMap((message) => decodeFlow(message)?.original.sourcePort ?? [])
      .sort()
  t.same(await ports(IPV4, { protocol: UDP, destinationPort: 54 }), [1004])
  t.same(await ports(IPV4, { protocol: SCTP }), [1009])
  t.same(await ports(IPV6, { protocol: UDP }), [1010, 1011])
  t.same([...(await ports(IPV4)), ...(await ports(IPV6))].sort(), Object.keys(FLOWS).map(Number))
})

t.test('a flow that began anew in the place of another is not deleted for it', { skip }, async (t) => {
  prepare()
  const messages = await connection.netfilter.dump(dumpFlows(IPV4, { protocol: UDP, destinationPort: 54 }))
  const flow = messages.flatMap((message) => decodeFlow(message) ?? [])[0]!
  const [outcome] = await connection.netfilter.pipeline([deleteFlow({ ...flow, id: (flow.id ^ 1) >>> 0 })])
  t.match(outcome?.error, { code: 'not-found', operation: /^delete ipv4 flow 192\.0\.2\.9 1004 to 192\.0\.2\.1 54/ })
  t.ok(present().includes(1004))
})
