import t from 'tap'
import { type Cidr, cidrsOverlap, formatCidr, parseCidr } from '../../../src/base/ip.js'
import { Claims } from '../../../src/routes/claims.js'
import { seededRandom } from '../../support/cni-exec.js'

/** The same by looking at all claims again: in order, each that overlaps with none that was taken before it. */
function settled(nodes: ReadonlyMap<string, readonly Cidr[]>, self: string): string[] {
  const taken: { node: string; cidr: Cidr }[] = []
  const names = [...nodes.keys()].sort((a, b) => (a === self ? -1 : b === self ? 1 : a < b ? -1 : 1))
  return names
    .flatMap((node) =>
      (nodes.get(node) ?? []).map((cidr) => {
        const other = taken.find((claim) => cidrsOverlap(claim.cidr, cidr))
        if (other === undefined) taken.push({ node, cidr })
        return line(node, cidr, other)
      }),
    )
    .sort()
}

const line = (node: string, cidr: Cidr, other: { node: string; cidr: Cidr } | undefined): string =>
  `${node} ${formatCidr(cidr)}${other === undefined ? '' : ` after ${other.node} ${formatCidr(other.cidr)}`}`

const told = (claims: Claims, names: Iterable<string>): string[] =>
  [...names]
    .flatMap((name) => claims.of(name).map(({ claim, refusedFor }) => line(name, claim.cidr, refusedFor)))
    .sort()

const POOL = [
  ...['10.0.0.0/8', '10.1.0.0/16', '10.1.0.0/24', '10.1.0.128/25', '10.1.1.0/24', '10.2.0.0/24', '10.2.0.0/16'],
  ...['fd00::/48', 'fd00:0:0:1::/64', 'fd00:0:0:2::/64', 'fd00:1::/64'],
].map((text) => parseCidr(text))

t.test('after any changes the claims stand as if all were looked at anew, and nobody else is concerned', async (t) => {
  const random = seededRandom(5)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const claims = new Claims('d')
  const nodes = new Map<string, readonly Cidr[]>()
  for (let step = 0; step < 3000; step++) {
    const before = new Map(names.map((name) => [name, told(claims, [name]).join()]))
    const [name, cidr, other] = [pick(names), pick(POOL), pick(POOL)]
    const cidrs = random() < 0.3 ? [] : cidr.family === other.family ? [cidr] : [cidr, other]
    nodes.set(name, cidrs)
    const concerned = claims.set(name, cidrs)
    t.same(told(claims, names), settled(nodes, 'd'), `step ${step}`)
    for (const each of names)
      if (!concerned.has(each)) t.equal(told(claims, [each]).join(), before.get(each), `step ${step}: ${each}`)
    if (!t.passing()) break
  }
})

t.test('thousands of nodes cost what a few do, each', async (t) => {
  const claims = new Claims('n0')
  for (let i = 0; i < 20_000; i++) {
    const concerned = claims.set(`n${i}`, [parseCidr(`10.${i >> 8}.${i & 255}.0/24`)])
    if (concerned.size !== 1) t.fail(`${concerned.size} concerned`)
  }
  t.equal([...claims.all()].length, 20_000)
})
