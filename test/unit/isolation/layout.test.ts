import fc from 'fast-check'
import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { setFacts, type SetSpec } from '../../../src/codec/nft/set.js'
import { TYPE } from '../../../src/codec/nft/types.js'
import { identifierOf, isolationRuleset, members, setsAmong } from '../../../src/isolation/layout.js'

const LONG = 'x'.repeat(65)

t.test('nft knows a network by its name, and by a part of it where that is too long', async (t) => {
  for (const name of ['a', 'A.b-c_d', 'x'.repeat(64)]) t.equal(identifierOf(name), name)
  t.equal(
    identifierOf(LONG),
    `${'x'.repeat(64)}_9537c5fdf120482f7d58d25e9ed583f5`,
    'always the same, since chains of running containers are found by it',
  )
})

t.test('no two networks have one name', async (t) => {
  const name = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,90}$/)
  fc.assert(fc.property(name, name, (a, b) => a === b || identifierOf(a) !== identifierOf(b)))
  t.not(identifierOf(identifierOf(LONG)), identifierOf(LONG), 'also where one is called as another is written')
  t.not(identifierOf(`${LONG}a`), identifierOf(`${LONG}b`))
})

t.test('no name is too long for a set or chain of the kernel', async (t) => {
  const NFT_NAME_MAXLEN = 256
  const { sets, chains } = isolationRuleset(['x'.repeat(4000)])
  for (const name of [...sets.map(({ name }) => name), ...chains.map(({ chain }) => chain.name)])
    t.ok(name.length < NFT_NAME_MAXLEN, name)
})

t.test('sets of ours are known among others, those of gone networks too', async (t) => {
  const ours = isolationRuleset(['a', 'ipv6_b']).sets
  const theirs: SetSpec[] = [
    { name: 'theirs', key: [TYPE.ipv4_addr] },
    { ...members(IPV4, 'other'), key: [TYPE.ipv6_addr] },
    { ...members(IPV6, 'another'), key: [TYPE.ipv6_addr], interval: true },
  ]
  const there = new Map([...ours, ...theirs].map((set) => [set.name, setFacts(set)]))
  t.strictSame(
    setsAmong(there)
      .map(({ name }) => name)
      .sort(),
    ours.map(({ name }) => name).sort(),
  )
  t.strictSame(setsAmong(new Map()), [])
})
