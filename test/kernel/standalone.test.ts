import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Place } from '../../src/cli/demo/place.js'
import { FileLock } from '../../src/kernel/lock.js'
import { ask } from '../support/lab.js'
import { clearNamespace, type CniAnswer, ip, nft, raiseUplink, type TestContext } from '../support/node.js'
import { type Sandbox, Sandboxes } from '../support/sandboxes.js'
import { Standalone } from '../support/standalone.js'

const IPAM = { type: 'netloom', ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] }
const CONFIG = { ipam: IPAM }

function started(t: TestContext): { readonly alone: Standalone; readonly sandboxes: Sandboxes } {
  t.teardown(clearNamespace)
  raiseUplink()
  return { alone: new Standalone(t), sandboxes: new Sandboxes(t) }
}

const addressesOf = ({ answer }: CniAnswer): string[] =>
  (answer?.ips ?? []).map(({ address }) => address.split('/')[0] ?? '')

interface World {
  readonly alone: Standalone
  readonly sandboxes: Sandboxes
}

async function attach({ alone, sandboxes }: World, name: string, config: object = CONFIG) {
  const sandbox: Sandbox = await sandboxes.create(name)
  const added = await alone.call('ADD', { containerId: name, config })
  if (added.exit !== 0) throw new Error(JSON.stringify(added.answer))
  await sandbox.serve(8080)
  return { place: sandbox.place, addresses: addressesOf(added) }
}

for (const mode of ['bridge', 'ptp'])
  t.test(
    `without an agent, mode ${mode}: containers reach each other and their node, over both families`,
    async (t) => {
      const world = started(t)
      const config = { ...CONFIG, mode }
      const a = await attach(world, 'a', config)
      const b = await attach(world, 'b', config)
      t.strictSame(
        [a.addresses, b.addresses],
        [
          ['10.88.0.2', 'fd00:88::2'],
          ['10.88.0.3', 'fd00:88::3'],
        ],
      )
      const here = new Place('/proc/self/ns/net')
      t.teardown(() => here.close())
      for (const [i, address] of b.addresses.entries()) {
        t.match((await ask(a.place, 'TCP', address, 8080)).answer, { pod: 'b', client: a.addresses[i] })
        t.match((await ask(here, 'TCP', address, 8080)).answer, { pod: 'b' })
      }
      t.match(nft('list', 'table', 'inet', 'netloom-masquerade'), /10\.88\.0\.2/)
      t.match(nft('list', 'ruleset'), /netloom-antispoof/)
      for (const containerId of ['a', 'b']) {
        const checked = await world.alone.call('CHECK', { containerId, config })
        t.strictSame(checked, { exit: 0, answer: undefined })
      }
      t.match(await world.alone.call('ADD', { containerId: 'a', config }), { exit: 1, answer: { code: 101 } })
      t.strictSame(await world.alone.call('STATUS', { containerId: 'a', config }), { exit: 0, answer: undefined })
      for (const containerId of ['a', 'b', 'b'])
        t.strictSame(await world.alone.call('DEL', { containerId, config }), { exit: 0, answer: undefined })
      t.notMatch(ip('link'), /nlm-/)
      t.notMatch(ip('route'), /proto 111/)
      t.notMatch(nft('list', 'ruleset'), /10\.88\.0\./)
    },
  )

t.test('calls at the same time wait for one another, and nobody shares an address', async (t) => {
  const { alone, sandboxes } = started(t)
  const names = Array.from({ length: 8 }, (_, i) => `p${i}`)
  for (const name of names) await sandboxes.create(name)
  const added = await Promise.all(names.map((containerId) => alone.call('ADD', { containerId, config: CONFIG })))
  t.ok(added.every(({ exit }) => exit === 0))
  t.equal(new Set(added.flatMap(addressesOf)).size, 2 * names.length)
  const valid = { 'cni.dev/valid-attachments': [{ containerID: 'p0', ifname: 'eth0' }] }
  t.equal((await alone.call('GC', { containerId: 'p0', config: { ...CONFIG, ...valid } })).exit, 0)
  t.equal(ip('link').match(/nlm-/g)?.length, 1)
})

t.test('what somebody flushed between two calls is there again after the next', async (t) => {
  const world = started(t)
  const a = await attach(world, 'a')
  nft('flush', 'ruleset')
  const b = await attach(world, 'b')
  const checked = await world.alone.call('CHECK', { containerId: 'a', config: CONFIG })
  t.strictSame(checked, { exit: 0, answer: undefined })
  t.match((await ask(a.place, 'TCP', b.addresses[0] ?? '', 8080)).answer, { pod: 'b', client: a.addresses[0] })
})

t.test('a call that is killed leaves nothing that the next does not put right', async (t) => {
  const { alone, sandboxes } = started(t)
  for (let round = 0; round < 5; round++) {
    const containerId = `k${round}`
    await sandboxes.create(containerId)
    const kill = (pid: number): unknown => setTimeout(() => process.kill(pid, 'SIGKILL'), 60 + round * 40)
    const killed = await alone.call('ADD', { containerId, config: CONFIG, started: kill }).catch(() => undefined)
    t.ok(killed === undefined || killed.exit <= 0, 'killed, or done before')
    t.strictSame(await alone.call('DEL', { containerId, config: CONFIG }), { exit: 0, answer: undefined })
    t.notMatch(ip('link'), /nlm-/)
    t.equal((await alone.call('ADD', { containerId, config: CONFIG })).exit, 0)
    t.equal((await alone.call('DEL', { containerId, config: CONFIG })).exit, 0)
  }
})

t.test('while an agent has the leases, the call is refused', async (t) => {
  const { alone, sandboxes } = started(t)
  await sandboxes.create('a')
  const lock = await FileLock.take(join(alone.stateDir, 'lock'), { waitMs: 0 })
  t.teardown(() => lock.release())
  const answer = await alone.call('ADD', { containerId: 'a', config: CONFIG, waitMs: 1 })
  t.match(answer, { exit: 1, answer: { code: 11, details: /lock is held by another process/ } })
})

t.test('mistakes in the configuration name the field', async (t) => {
  const { alone, sandboxes } = started(t)
  await sandboxes.create('a')
  const config = { ipam: { ranges: [[{ subnet: '10.88.0.0/33' }]] } }
  const answer = await alone.call('ADD', { containerId: 'a', config })
  t.match(answer, { exit: 1, answer: { code: 7, details: /ipam\.ranges\[0\]\[0\]\.subnet/ } })
  const empty = await alone.call('ADD', { containerId: 'a', config: {} })
  t.match(empty, { exit: 1, answer: { code: 7, details: /ipam/ } }, 'no node tells the networks')
  t.notOk(existsSync(alone.stateDir) && readdirSync(alone.stateDir).some((name) => name.endsWith('.new')))
})
