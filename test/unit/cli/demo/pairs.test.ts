import t from 'tap'
import { parseIp } from '../../../../src/base/ip.js'
import { pairs, type RunningPod } from '../../../../src/cli/demo/pairs.js'

const pod = (i: number, over: Partial<RunningPod> = {}): RunningPod => ({
  key: `default/p${i}`,
  node: `node-${(i % 3) + 1}`,
  addresses: [parseIp(`10.244.1.${i + 2}`), parseIp(`fd00::${i + 2}`)],
  hostNetwork: false,
  listeners: [{ protocol: 'TCP', port: 80, undeclared: false }],
  ...over,
})

t.test('few pods all ask all others, in both families', async (t) => {
  const found = pairs([pod(0), pod(1), pod(2)])
  t.equal(found.length, 3 * 2 * 2)
  t.notOk(found.some(({ client, server }) => client === server))
  t.equal(found.filter(({ family }) => family === 'ipv6').length, 6)
})

t.test('pods that do not listen only ask, and pods of the host network do neither', async (t) => {
  const found = pairs([pod(0), pod(1, { listeners: [] }), pod(2, { hostNetwork: true })])
  t.same([...new Set(found.map(({ client, server }) => `${client.key} ${server.key}`))], ['default/p1 default/p0'])
})

t.test('UDP serves where there is no TCP', async (t) => {
  const udp = { protocol: 'UDP', port: 53, undeclared: false } as const
  t.equal(pairs([pod(0), pod(1, { listeners: [udp] })])[0]?.listener, udp)
})

t.test('many pods ask a few on their node and a few on others, and everybody is asked', async (t) => {
  const pods = Array.from({ length: 100 }, (_, i) => pod(i))
  const found = pairs(pods).filter(({ family }) => family === 'ipv4')
  t.equal(found.length, 100 * 4)
  t.equal(found.filter(({ client, server }) => client.node === server.node).length, 200)
  t.ok(new Set(found.map(({ server }) => server.key)).size > 90)
})
