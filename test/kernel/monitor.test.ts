import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseCidr, parseIpPrefix } from '../../src/base/ip.js'
import { type Table, tableText } from '../../src/codec/nft/table.js'
import { TYPE } from '../../src/codec/nft/types.js'
import { monitorNetwork, monitorRuleset, type NetworkEvent } from '../../src/kernel/monitor.js'
import { observeGeneration } from '../../src/kernel/observe.js'
import { openSocket, PROTOCOL, type Transport } from '../../src/kernel/socket.js'
import { type NftOp, type Op } from '../../src/ops/op.js'
import { connect, eventually, nft, skipWithout } from '../support/namespaces.js'

/** Longer than the time that a generation of our own is waited for. */
const SETTLED = 100

const connection = connect()
const foreigner = connect()
const { applier } = connection
t.teardown(() => {
  connection.close()
  foreigner.close()
})

const ours: Table = { family: 'ip', name: 'ours' }
const add = (table: Table): NftOp => ({ kind: 'table.add', table })
const remove = (table: Table): NftOp => ({ kind: 'table.delete', table })

/** Runs work while changes are listened to, and answers the tables that were told. */
async function heard(work: () => Promise<unknown>): Promise<string[]> {
  const changed: string[] = []
  const monitor = monitorRuleset({
    isOwn: (generation) => connection.generations.includes(generation),
    changed: (table) => changed.push(table === undefined ? 'lost' : tableText(table)),
  })
  try {
    await work()
    await sleep(SETTLED)
    return changed
  } finally {
    monitor.close()
  }
}

t.test('what we change ourselves is not told', async (t) => {
  const changed = await heard(async () => {
    await applier.apply([add(ours)])
    await applier.apply([{ kind: 'chain.add', table: ours, chain: { name: 'c' } }])
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        applier.apply([{ kind: 'chain.add', table: ours, chain: { name: `c${i}` } }]),
      ),
    )
    await applier.apply([remove(ours)])
  })
  t.strictSame(changed, [])
  t.equal(new Set(connection.generations).size, 23, 'each transaction has told its number')
})

t.test('what somebody else changes is told with its table, also in between', async (t) => {
  const changed = await heard(async () => {
    await applier.apply([add(ours)])
    await foreigner.applier.apply([{ kind: 'chain.add', table: ours, chain: { name: 'theirs' } }])
    await applier.apply([{ kind: 'chain.add', table: ours, chain: { name: 'c' } }])
    await foreigner.applier.apply([add({ family: 'inet', name: 'docker' })])
    await applier.apply([remove(ours)])
    await foreigner.applier.apply([remove({ family: 'inet', name: 'docker' })])
  })
  t.strictSame(changed, ['ip ours', 'inet docker', 'inet docker'])
})

t.test('a transaction that was refused is not told', async (t) => {
  const changed = await heard(async () => {
    await t.rejects(foreigner.applier.apply([add(ours), { kind: 'chain.delete', table: ours, chain: 'nothing' }]))
  })
  t.strictSame(changed, [])
})

t.test('what nft changes is told, rules and elements too', { skip: skipWithout('nft', '--version') }, async (t) => {
  const set = { name: 's', key: [TYPE.ipv4_addr] }
  await applier.apply([
    add(ours),
    { kind: 'chain.add', table: ours, chain: { name: 'c' } },
    { kind: 'set.add', table: ours, set },
  ])
  const deeds = [
    'add rule ip ours c accept',
    'add element ip ours s { 10.0.0.1 }',
    'flush chain ip ours c',
    'delete element ip ours s { 10.0.0.1 }',
    'delete chain ip ours c',
    'delete table ip ours',
  ]
  for (const deed of deeds) t.strictSame(await heard(async () => nft(['-f', '-'], deed)), ['ip ours'], deed)
  t.strictSame(await heard(async () => nft(['flush', 'ruleset'])), [], 'nothing is nothing')
})

t.test('notifications of rulesets that were lost are told', async (t) => {
  const changed: (Table | undefined)[] = []
  const monitor = monitorRuleset(
    { isOwn: () => true, changed: (table) => changed.push(table) },
    openSocket({ protocol: PROTOCOL.NETFILTER, groups: [7], bufferBytes: 4096 }),
  )
  const chains = Array.from({ length: 200 }, (_, i): NftOp => ({
    kind: 'chain.add',
    table: ours,
    chain: { name: `chain_${i}` },
  }))
  await applier.apply([add(ours), ...chains])
  t.ok(await eventually(() => changed.length > 0))
  t.equal(changed[0], undefined)
  monitor.close()
  await applier.apply([remove(ours)])
})

t.test('lost notifications of our own are told to nobody, those of others are', async (t) => {
  const changed: (Table | undefined)[] = []
  let losses = 0
  const monitor = monitorRuleset(
    {
      isOwn: (generation) => connection.generations.includes(generation),
      changed: (table) => changed.push(table),
      generation: async () => {
        losses++
        return observeGeneration(connection.netfilter)
      },
    },
    openSocket({ protocol: PROTOCOL.NETFILTER, groups: [7], bufferBytes: 4096 }),
  )
  const chains = (prefix: string) =>
    Array.from({ length: 200 }, (_, i): NftOp => ({
      kind: 'chain.add',
      table: ours,
      chain: { name: `${prefix}_${i}` },
    }))
  await applier.apply([add(ours)])
  await sleep(SETTLED)
  await applier.apply(chains('own'))
  t.ok(await eventually(() => losses > 0), 'the queue was too small')
  await sleep(SETTLED)
  t.strictSame(changed, [])
  await foreigner.applier.apply(chains('foreign'))
  t.ok(await eventually(() => changed.includes(undefined)))
  monitor.close()
  await applier.apply([remove(ours)])
})

t.test('addresses and routes are told by whoever they are changed', async (t) => {
  const events: NetworkEvent[] = []
  const monitor: Transport = monitorNetwork((event) => events.push(event))
  const address = { ...parseIpPrefix('10.0.0.1/24'), device: 'v0' }
  const route = { destination: parseCidr('10.1.0.0/16'), device: 'v0', protocol: 110 }
  const has = (kind: NetworkEvent['kind'], gone: boolean, text: string): boolean =>
    events.some(
      (event) => event.kind === kind && 'gone' in event && event.gone === gone && JSON.stringify(event).includes(text),
    )
  const made: Op[] = [
    { kind: 'link.add', link: { kind: 'veth', name: 'v0', up: true, peer: { name: 'v1' } } },
    { kind: 'address.add', address },
    { kind: 'route.replace', route },
  ]
  await applier.apply(made)
  t.ok(await eventually(() => has('address', false, '10.0.0.1') && has('route', false, '10.1.0.0')), 'ours')
  await foreigner.applier.apply([
    { kind: 'route.delete', route },
    { kind: 'address.delete', address },
  ])
  t.ok(await eventually(() => has('address', true, '10.0.0.1') && has('route', true, '10.1.0.0')), "somebody else's")
  await applier.apply([{ kind: 'link.delete', name: 'v0' }])
  monitor.close()
})

t.test('notifications of the network that were lost are told', async (t) => {
  const events: NetworkEvent[] = []
  const monitor = monitorNetwork((event) => events.push(event), {
    open: openSocket({ protocol: PROTOCOL.ROUTE, groups: [7], bufferBytes: 4096 }),
  })
  await applier.apply([{ kind: 'link.add', link: { kind: 'veth', name: 'v0', up: true, peer: { name: 'v1' } } }])
  const routes = Array.from({ length: 200 }, (_, i): Op => ({
    kind: 'route.replace',
    route: { destination: parseCidr(`10.1.${i}.0/24`), device: 'v0', protocol: 110 },
  }))
  await applier.apply(routes)
  t.ok(await eventually(() => events.some(({ kind }) => kind === 'lost')))
  await applier.apply([{ kind: 'link.delete', name: 'v0' }])
  monitor.close()
})
