import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { knownSysctls, planSysctls } from '../../../src/routes/sysctls.js'

const WANTED = new Map([
  ['net/ipv4/a', '1'],
  ['net/ipv6/b', '1'],
])

t.test('what differs is set, of IPv6 where somebody has it', async (t) => {
  const paths = (actual: ReadonlyMap<string, string>, families = [IPV4, IPV6]): string[] =>
    planSysctls(WANTED, actual, families).map((op) => ('path' in op ? op.path : ''))
  t.same(paths(new Map()), ['net/ipv4/a', 'net/ipv6/b'])
  t.same(paths(new Map([['net/ipv4/a', '1']])), ['net/ipv6/b'])
  t.same(paths(new Map(), [IPV4]), ['net/ipv4/a'])
})

t.test('of a link that stands, what the kernel does not have is left out', async (t) => {
  t.same([...knownSysctls(WANTED, new Map([['net/ipv4/a', '0']]), {} as Link).keys()], ['net/ipv4/a'])
  t.same([...knownSysctls(WANTED, new Map(), undefined).keys()], [...WANTED.keys()])
})
