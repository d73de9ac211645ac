import t from 'tap'
import { addChain, type Chain, CHAIN_TYPES, chainText, decodeChain } from '../../../../src/codec/nft/chain.js'
import { deleteChain, dumpChains } from '../../../../src/codec/nft/chain.js'
import { type HookName, HOOKS, type TableFamily } from '../../../../src/codec/nft/constants.js'
import { type Table } from '../../../../src/codec/nft/table.js'
import { messageOf } from './message.js'

const table: Table = { family: 'inet', name: 't' }
const at = (priority: number): Chain => ({ name: 'c', base: { type: 'filter', hook: 'forward', priority } })

t.test('a chain survives writing and reading at every hook, of every type, with either policy', async (t) => {
  for (const family of Object.keys(HOOKS) as TableFamily[]) {
    const of: Table = { family, name: 't' }
    const chains: Chain[] = [{ name: 'regular' }]
    for (const type of CHAIN_TYPES)
      for (const hook of Object.keys(HOOKS[family]) as HookName[])
        chains.push(
          { name: 'c', base: { type, hook, priority: 7 } },
          { name: 'c', base: { type, hook, priority: 7, policy: 'drop' } },
        )
    for (const chain of chains) t.strictSame(decodeChain(messageOf(addChain(of, chain))), { table: of, chain })
  }
})

t.test('a hook that the family of the table has not is refused', async (t) => {
  const chain: Chain = { name: 'c', base: { type: 'filter', hook: 'prerouting', priority: 0 } }
  t.throws(() => messageOf(addChain({ family: 'arp', name: 't' }, chain)), {
    code: 'internal',
    message: /arp.*prerouting/,
  })
})

t.test('priorities are signed', async (t) => {
  for (const priority of [-2147483648, -100, -1, 0, 2147483647])
    t.equal(decodeChain(messageOf(addChain(table, at(priority))))?.chain.base?.priority, priority)
})

t.test("a chain's text names the standard priorities and its policy", async (t) => {
  const texts = [-100, -1, 0, 99, 100].map((priority) => chainText(at(priority), 'inet'))
  t.strictSame(texts, [
    'type filter hook forward priority dstnat; policy accept;',
    'type filter hook forward priority -1; policy accept;',
    'type filter hook forward priority filter; policy accept;',
    'type filter hook forward priority 99; policy accept;',
    'type filter hook forward priority srcnat; policy accept;',
  ])
  const dropping: Chain = { name: 'c', base: { type: 'nat', hook: 'output', priority: 0, policy: 'drop' } }
  t.match(chainText(dropping, 'ip'), /policy drop;$/)
  t.equal(chainText({ name: 'regular' }, 'ip'), '')
})

t.test('a priority has the name that it has in the family of the table, or none', async (t) => {
  const nameOf = (family: TableFamily, priority: number): string | undefined =>
    /priority (\S+);/.exec(chainText(at(priority), family))?.[1]
  t.strictSame(
    [-300, -200, -100, 0, 100, 300].map((priority) => nameOf('bridge', priority)),
    ['dstnat', 'filter', '-100', '0', '100', 'srcnat'],
  )
  t.strictSame(
    [-300, -100, 0, 100].map((priority) => nameOf('arp', priority)),
    ['-300', '-100', 'filter', '100'],
  )
  t.strictSame(
    [-300, -100, 0, 100].map((priority) => nameOf('inet', priority)),
    ['raw', 'dstnat', 'filter', 'srcnat'],
  )
})

t.test('what is no chain of ours to read is undefined, what no kernel has is an error', async (t) => {
  t.equal(decodeChain(messageOf(dumpChains(table))), undefined)
  const message = messageOf(addChain(table, at(0)))
  const hook = message.payload.indexOf(Buffer.from('0800010000000002', 'hex'))
  t.not(hook, -1)
  message.payload[hook + 7] = 9
  t.throws(() => decodeChain(message), { code: 'invalid', message: /inet t c/ })
})

t.test('requests say what they do', async (t) => {
  t.equal(addChain(table, at(0)).operation, 'create chain inet t c')
  t.equal(deleteChain(table, 'c').operation, 'delete chain inet t c')
})
