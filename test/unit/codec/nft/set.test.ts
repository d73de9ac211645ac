import t from 'tap'
import { addSet, decodeSet, isMap, sameSet, type SetFacts, setFacts, setKind } from '../../../../src/codec/nft/set.js'
import { deleteSet, dumpSets, flushSet, type SetSpec, setText } from '../../../../src/codec/nft/set.js'
import { type Table } from '../../../../src/codec/nft/table.js'
import { TYPE } from '../../../../src/codec/nft/types.js'
import { messageOf, withAttributes } from './message.js'

const table: Table = { family: 'ip', name: 't' }
const set: SetSpec = { name: 's', key: [TYPE.ipv4_addr] }
const frontend = [TYPE.ipv4_addr, TYPE.inet_proto, TYPE.inet_service]
const map: SetSpec = { name: 'm', key: frontend, data: [TYPE.ipv4_addr, TYPE.inet_service] }

/** Each differs from all others. */
const SETS: Readonly<Record<string, SetSpec>> = {
  set,
  'interval set': { ...set, interval: true },
  'IPv6 set': { name: 's', key: [TYPE.ipv6_addr] },
  pairs: { name: 's', key: [TYPE.ipv4_addr, TYPE.ipv4_addr] },
  map,
  'map to another type': { ...map, data: [TYPE.inet_service] },
  'verdict map': { ...map, data: 'verdict' },
  'verdict map of numgen': { name: 'slots', key: [TYPE.numgen], data: 'verdict' },
  'set of links': { name: 's', key: [TYPE.ifname] },
  senders: { name: 's', key: [TYPE.ifname, TYPE.ether_addr, TYPE.ipv4_addr] },
  'set of links and advertised addresses': { name: 's', key: [TYPE.ifname, TYPE.nd_target] },
}

t.test('a set is recognised by what it was created with', async (t) => {
  for (const [name, spec] of Object.entries(SETS))
    t.strictSame(decodeSet(messageOf(addSet(table, spec))), { table, name: spec.name, facts: setFacts(spec) }, name)
})

t.test('sets of different types, kinds or flags are different', async (t) => {
  const facts = Object.entries(SETS).map(([name, spec]): [string, SetFacts] => [name, setFacts(spec)])
  for (const [a, one] of facts) for (const [b, other] of facts) t.equal(sameSet(one, other), a === b, `${a} and ${b}`)
})

t.test('what holds data is a map', async (t) => {
  t.equal(setKind(set), 'set')
  t.equal(setKind(map), 'map')
  t.equal(isMap(setFacts(set)), false)
  t.equal(isMap(setFacts({ ...map, data: 'verdict' })), true)
})

t.test("the declaration is in nft's grammar", async (t) => {
  t.strictSame(Object.values(SETS).map(setText), [
    'type ipv4_addr;',
    'type ipv4_addr; flags interval;',
    'type ipv6_addr;',
    'type ipv4_addr . ipv4_addr;',
    'type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;',
    'type ipv4_addr . inet_proto . inet_service : inet_service;',
    'type ipv4_addr . inet_proto . inet_service : verdict;',
    'typeof numgen inc mod 2 : verdict;',
    'type ifname;',
    'type ifname . ether_addr . ipv4_addr;',
    'typeof iifname . @nh,384,128;',
  ])
})

t.test('a part that nft has no expression for cannot stand beside one that has no size', async (t) => {
  t.throws(() => setText({ name: 's', key: [TYPE.ipv4_addr, TYPE.nd_target] }), {
    code: 'internal',
    message: /ipv4_addr/,
  })
})

t.test('what is no set is none', async (t) => {
  t.equal(decodeSet(messageOf(dumpSets(table))), undefined)
  t.equal(decodeSet(withAttributes(addSet(table, set), Buffer.alloc(0))), undefined)
})

t.test('a number of too few bytes is refused', async (t) => {
  // Table and set named 's', then flags (attribute 3) of two bytes.
  const attributes = Buffer.from('0600010073000000' + '0600020073000000' + '0600030000040000', 'hex')
  t.throws(() => decodeSet(withAttributes(addSet(table, set), attributes)), { code: 'invalid' })
})

t.test('requests say what they do', async (t) => {
  t.equal(addSet(table, map).operation, 'create map ip t m')
  t.equal(addSet(table, set).operation, 'create set ip t s')
  t.equal(deleteSet(table, 's').operation, 'delete set ip t s')
  t.equal(flushSet(table, 's').operation, 'flush set ip t s')
})
