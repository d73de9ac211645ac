import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { formatCidr, parseCidr } from '../../../src/base/ip.js'
import { NodeMemory } from '../../../src/daemon/node-memory.js'
import { Cursor } from '../../../src/model/cursor.js'
import { type Node, readNode } from '../../../src/model/node.js'

const log = pino({ level: 'silent' })
const SUBNETS = ['10.244.1.0/24', 'fd00:244:1::/64'].map((text) => parseCidr(text))
const NODE: Node = readNode(
  new Cursor({
    metadata: { name: 'node-1' },
    spec: { podCIDRs: ['10.9.0.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
  }),
)

t.test('the next agent knows the subnets that the last one worked with, and where the node is', async (t) => {
  const directory = t.testdir()
  new NodeMemory(directory, 'node-1', log).keep(SUBNETS, NODE)
  const { node } = new NodeMemory(directory, 'node-1', log)
  t.same(node?.podCIDRs.map(formatCidr), ['10.244.1.0/24', 'fd00:244:1::/64'])
  t.same(
    node?.internalIPs.map(({ address }) => address),
    ['192.0.2.1'],
  )
})

t.test('nothing is remembered at first, of another node, or of a file that is damaged', async (t) => {
  const directory = t.testdir()
  t.equal(new NodeMemory(directory, 'node-1', log).node, undefined)
  new NodeMemory(directory, 'node-1', log).keep(SUBNETS, NODE)
  t.equal(new NodeMemory(directory, 'node-2', log).node, undefined)
  writeFileSync(join(directory, 'node.json'), '{"metadata":{"name":"node-1"},"spec":{"podCIDRs":["10.0.0.0/99"]}}')
  t.equal(new NodeMemory(directory, 'node-1', log).node, undefined)
  writeFileSync(join(directory, 'node.json'), '{')
  t.equal(new NodeMemory(directory, 'node-1', log).node, undefined)
})

t.test('a disk that refuses costs the memory alone', async (t) => {
  const directory = t.testdir()
  const memory = new NodeMemory(directory, 'node-1', log)
  mkdirSync(join(directory, 'node.json'))
  t.doesNotThrow(() => memory.keep(SUBNETS, NODE))
  t.equal(memory.node, undefined)
})

t.test('what is known already is not written again', async (t) => {
  const directory = t.testdir()
  const memory = new NodeMemory(directory, 'node-1', log)
  memory.keep(SUBNETS, NODE)
  writeFileSync(join(directory, 'node.json'), 'somebody else')
  memory.keep(SUBNETS, NODE)
  t.equal(readFileSync(join(directory, 'node.json'), 'utf8'), 'somebody else')
})
