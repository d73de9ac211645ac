import t from 'tap'
import { type Cidr, formatCidr, parseCidr } from '../../../src/base/ip.js'
import { freeSubnets, takenOf } from '../../../src/subnets/candidates.js'

const network = (cidr: string, nodePrefix: number) => ({ cidr: parseCidr(cidr), nodePrefix })
const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text))
const all = (cidr: string, nodePrefix: number, ...taken: readonly string[]) =>
  [...freeSubnets(network(cidr, nodePrefix), 'node-1', cidrs(...taken))].map(formatCidr)

t.test('goes round all subnets once, from a place that follows from the name', async (t) => {
  const found = all('10.0.0.0/24', 27)
  t.equal(new Set(found).size, 8)
  t.same(found, all('10.0.0.0/24', 27))
  const sorted = [...found].sort((a, b) => Number(a.split(/[./]/)[3]) - Number(b.split(/[./]/)[3]))
  const start = sorted.indexOf(found[0]!)
  t.same(found, [...sorted.slice(start), ...sorted.slice(0, start)])
})

t.test('leaves out what overlaps something taken, whatever its size', async (t) => {
  const taken = ['10.0.0.32/28', '10.0.0.40/30', '10.0.0.128/25', '10.0.0.192/27', '10.9.0.0/16', 'fd00::/8']
  t.same(all('10.0.0.0/24', 27, ...taken).sort(), ['10.0.0.0/27', '10.0.0.64/27', '10.0.0.96/27'])
  t.equal(takenOf(network('10.0.0.0/24', 27), cidrs(...taken)), 5n)
  t.same(all('10.0.0.0/24', 27, '10.0.0.0/8'), [])
  t.equal(takenOf(network('10.0.0.0/24', 27), cidrs('10.0.0.0/8')), 8n)
  t.same(all('10.0.0.0/24', 24), ['10.0.0.0/24'], 'a network of one subnet')
})

t.test('a space of 2^64 subnets costs no more than what is looked at', async (t) => {
  const taken = cidrs('fd00::/33', 'fd00:0:8000::/34')
  const free = freeSubnets(network('fd00::/32', 96), 'node-1', taken)
  const first = [1, 2, 3].map(() => free.next().value as Cidr).map(formatCidr)
  t.equal(new Set(first).size, 3)
  for (const text of first) t.match(text, /^fd00:0:[c-f]/)
})

t.test('nodes that start together want different subnets', async (t) => {
  const wanted = Array.from({ length: 200 }, (_, i) => {
    const [first] = freeSubnets(network('10.0.0.0/8', 24), `node-${i}`, [])
    return formatCidr(first!)
  })
  t.ok(new Set(wanted).size >= 195, `${new Set(wanted).size} of 200`)
})
