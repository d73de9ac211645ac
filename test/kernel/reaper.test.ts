import t from 'tap'
import { Kernel } from '../../src/daemon/kernel.js'
import { Reaper } from '../../src/daemon/reaper.js'
import { clearNamespace, ip } from '../support/node.js'

const links = (): string[] => (JSON.parse(ip('-j', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname)

/** Veth pairs, and a kernel to delete them with. */
function raised(t: { teardown: (work: () => unknown) => void }, count: number): { reaper: Reaper; names: string[] } {
  const kernel = new Kernel()
  t.teardown(() => {
    kernel.close()
    clearNamespace()
  })
  const names = Array.from({ length: count }, (_, i) => `nlm-${i}`)
  for (const name of names) ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `old${name}`)
  return { reaper: new Reaper(kernel.deletions), names }
}

t.test('links that go together go, and no other does', async (t) => {
  const { reaper, names } = raised(t, 40)
  ip('link', 'add', 'foreign0', 'type', 'bridge')
  ip('link', 'add', 'foreign1', 'group', '77', 'type', 'bridge')
  const [stays, ...gone] = names
  await Promise.all(gone.map((name) => reaper.delete(name)))
  const left = links()
  t.notOk(gone.some((name) => left.includes(name)))
  for (const name of [stays!, 'foreign0', 'foreign1', 'lo']) t.ok(left.includes(name), name)
})

t.test('a link that is gone, one that never was and one twice are no errors', async (t) => {
  const { reaper, names } = raised(t, 3)
  ip('link', 'delete', names[0]!)
  await t.resolves(Promise.all([...names, ...names, 'nlm-never'].map((name) => reaper.delete(name))))
  await t.resolves(reaper.delete('nlm-never'))
  t.notOk(links().some((name) => name.startsWith('nlm-')))
})

t.test('a link that was marked before a crash goes with the next ones', async (t) => {
  const { reaper, names } = raised(t, 3)
  ip('link', 'set', names[0]!, 'group', String(0x6e6c6d))
  await Promise.all(names.slice(1).map((name) => reaper.delete(name)))
  t.notOk(links().some((name) => name.startsWith('nlm-')))
})
