import t from 'tap'
import { FAMILIES } from '../../src/base/family.js'
import { parseCidr } from '../../src/base/ip.js'
import { Kernel } from '../../src/daemon/kernel.js'
import { observeElements, observeRuleset } from '../../src/kernel/observe.js'
import {
  MASQUERADE,
  MASQUERADE_SETS,
  type MasqueradeActual,
  type MasqueradeDesired,
  masqueradeElements,
  planMasquerade,
} from '../../src/masquerade/plan.js'
import { intervalKey, intervalsOf } from '../../src/codec/nft/intervals.js'
import { seededRandom } from '../support/cni-exec.js'
import { clearNamespace, nft } from '../support/node.js'

function opened(t: { teardown: (work: () => unknown) => void }): Kernel {
  const kernel = new Kernel()
  t.teardown(() => {
    kernel.close()
    clearNamespace()
  })
  return kernel
}

async function observe({ netfilter }: Kernel): Promise<MasqueradeActual | undefined> {
  const structure = await observeRuleset(netfilter, MASQUERADE)
  if (structure === undefined) return undefined
  const sets = MASQUERADE_SETS.flatMap(({ sources, exceptions }) => [sources, exceptions])
  const elements = await Promise.all(
    sets.map(async (set) => [set.name, await observeElements(netfilter, MASQUERADE, set)] as const),
  )
  return { structure, elements: new Map(elements) }
}

const desired = (sources: readonly string[], exceptions: readonly string[]): MasqueradeDesired => ({
  sources: sources.map((text) => parseCidr(text)),
  exceptions: exceptions.map((text) => parseCidr(text)),
})

/** Makes the kernel as wanted and says whether it is: nothing is left to do, and its sets hold these intervals. */
async function becomes(kernel: Kernel, wanted: MasqueradeDesired): Promise<string[]> {
  await kernel.applier.apply(planMasquerade(masqueradeElements(wanted), await observe(kernel)))
  const actual = await observe(kernel)
  const left = planMasquerade(masqueradeElements(wanted), actual).map(({ kind }) => kind)
  const wrong = FAMILIES.flatMap((family) => {
    const name = `exceptions_${family.name}`
    const found = (actual?.elements.get(name) ?? []).map(intervalKey).join()
    const want = intervalsOf(family, wanted.exceptions).map(intervalKey).join()
    return found === want ? [] : [`${name}: ${found}, not ${want}`]
  })
  return [...left, ...wrong]
}

t.test('the kernel has the table as it was planned, and nft lists it', async (t) => {
  const kernel = opened(t)
  t.same(await becomes(kernel, desired(['10.244.1.0/24', 'fd00:244:1::/64'], ['10.244.0.0/16', 'fd00:244::/32'])), [])
  const list = nft('list', 'table', 'inet', 'netloom-masquerade')
  t.match(list, /elements = \{ 10\.244\.1\.0\/24 \}/)
  t.match(list, /type nat hook postrouting priority srcnat; policy accept;/)
  t.match(list, /ip saddr @sources_ipv4 ip daddr != @exceptions_ipv4 masquerade fully-random/)
  t.match(list, /ip6 saddr @sources_ipv6 ip6 daddr != @exceptions_ipv6 masquerade fully-random/)
})

t.test('networks that touch, hold one another or reach the last address come and go in any order', async (t) => {
  const kernel = opened(t)
  const random = seededRandom(9)
  const networks = [
    ...['10.244.0.0/24', '10.244.1.0/24', '10.244.2.0/24', '10.244.3.0/24', '10.244.0.0/22', '10.244.2.0/23'],
    ...['10.244.3.255/32', '10.244.4.0/32', '255.255.255.0/24', '255.255.255.255/32', '0.0.0.0/8', '0.0.0.0/0'],
    ...['fd00:244::/64', 'fd00:244:0:1::/64', 'fd00:244::/32', 'ffff::/16', '::/0', '::/128'],
  ]
  for (let round = 0; round < 150; round++) {
    const exceptions = networks.filter((network) => random() < (network.endsWith('/0') ? 0.05 : 0.35))
    const wrong = await becomes(kernel, desired(['10.244.0.0/24', 'fd00:244::/64'], exceptions))
    if (wrong.length > 0) t.fail(`round ${round}, ${exceptions.join()}: ${wrong.join('; ')}`)
  }
  t.pass()
})

t.test('what others did to the table is undone', async (t) => {
  const kernel = opened(t)
  const wanted = desired(['10.244.1.0/24'], ['10.244.0.0/16'])
  await becomes(kernel, wanted)
  const intact = nft('list', 'table', 'inet', 'netloom-masquerade')
  const damages: (() => unknown)[] = [
    () => nft('flush', 'chain', 'inet', 'netloom-masquerade', 'postrouting'),
    () => nft('insert', 'rule', 'inet', 'netloom-masquerade', 'postrouting', 'counter', 'masquerade'),
    () => nft('add', 'element', 'inet', 'netloom-masquerade', 'exceptions_ipv4', '{ 192.0.2.0/24, 198.51.100.7 }'),
    () => nft('flush', 'set', 'inet', 'netloom-masquerade', 'sources_ipv4'),
    () => nft('delete', 'table', 'inet', 'netloom-masquerade'),
    () =>
      nft('add', 'chain', 'inet', 'netloom-masquerade', 'mine', '{ type filter hook input priority 0; policy drop; }'),
  ]
  for (const damage of damages) {
    damage()
    t.same(await becomes(kernel, wanted), [])
    t.equal(nft('list', 'table', 'inet', 'netloom-masquerade'), intact)
  }
})
