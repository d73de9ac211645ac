import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Place } from '../../src/cli/demo/place.js'
import { clearNamespace, eventually, ip, nft, PEER, raiseUplink, SELF, TestNode } from '../support/node.js'

/** Flips bits in the body of the first record. */
function damage(node: TestNode): void {
  const path = join(node.stateDir, 'leases')
  const bytes = readFileSync(path)
  bytes[40] = (bytes[40] ?? 0) ^ 0xff
  writeFileSync(path, bytes)
}

for (const mode of ['bridge', 'ptp'])
  t.test(`mode ${mode}: a damaged journal costs no container its network, and nobody its address`, async (t) => {
    t.teardown(clearNamespace)
    raiseUplink()
    const node = await new TestNode(t, [SELF, PEER]).start()
    for (const name of ['a', 'b', 'c']) node.createPod(name)
    const config = { mode }
    await node.cni('ADD', 'a', { config })
    await node.cni('ADD', 'b', { config })
    await node.stop()
    damage(node)
    await node.restart([SELF, PEER])
    t.match(node.status.problems, [/journal of leases was damaged in 1 places; .*leases\.damaged-\d+$/])
    t.equal(readdirSync(node.stateDir).filter((name) => name.startsWith('leases.damaged-')).length, 1)
    t.match(
      node.status.pods.map(({ addresses }) => addresses[0]),
      ['10.244.1.3', '10.244.1.2'],
    )
    const place = new Place('/run/netns/a')
    t.teardown(() => place.close())
    const server = await place.listen(8080, (socket) => socket.end('here'))
    t.teardown(() => server.close())
    const here = new Place('/proc/self/ns/net')
    t.teardown(() => here.close())
    const answered = new Promise((resolve, reject) => {
      here.connect('10.244.1.2', 8080).on('data', resolve).on('error', reject)
    })
    t.match(String(await answered), /here/)
    const c = await node.cni('ADD', 'c', { config })
    t.match(c.answer?.ips, [{ address: '10.244.1.4/32' }])
    t.match(await node.cni('ADD', 'a', { config }), { exit: 1, answer: { code: 101 } }, 'it is attached')
    for (const name of ['a', 'b', 'c']) t.equal((await node.cni('DEL', name, { config })).exit, 0)
    t.notMatch(ip('link'), /nlm-/)
    t.same(node.status.pods, [])
  })

t.test('a link of which nothing is known any more goes: its address would be given to another', async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  const node = await new TestNode(t, [SELF, PEER]).start()
  node.createPod('a')
  await node.cni('ADD', 'a')
  await node.stop()
  damage(node)
  nft('flush', 'ruleset')
  await node.restart([SELF, PEER])
  t.same(node.status.pods, [])
  await t.resolves(eventually(() => !/nlm-/.test(ip('link')), 1000))
})
