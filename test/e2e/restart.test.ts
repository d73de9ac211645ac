import t from 'tap'
import { spawnSync } from 'node:child_process'
import { MAIN } from '../../src/cli/demo/installation.js'
import { type Outcome } from '../../src/cli/demo/outcome.js'
import { type Place } from '../../src/cli/demo/place.js'
import { ask, Lab, serviceValue, sleep, survey } from '../support/lab.js'

const VIP = '10.96.0.10'
const PORTS = [{ protocol: 'TCP', port: 8080, undeclared: false }] as const
const WEB = serviceValue({
  name: 'web',
  clusterIPs: [VIP],
  selector: { app: 'web' },
  ports: [{ port: 80, targetPort: 8080 }],
})

/** New connections, one after the other, until told to stop; answers those that failed. */
function probe(
  place: Place,
  address: string,
  port: number,
): { stop: () => Promise<{ asked: number; failures: Outcome[] }> } {
  const stop = new AbortController()
  const run = (async () => {
    const failures: Outcome[] = []
    let asked = 0
    for (; !stop.signal.aborted; asked++) {
      const outcome = await ask(place, 'TCP', address, port)
      if (outcome.answer === undefined) failures.push(outcome)
      await sleep(2)
    }
    return { asked, failures }
  })()
  return {
    stop: () => {
      stop.abort()
      return run
    },
  }
}

t.test('traffic does not notice that the agent crashes, is away, and comes back', async (t) => {
  const lab = await Lab.raise(2)
  t.teardown(() => lab.close())
  const labels = { app: 'web' }
  const here = await lab.start({ name: 'here', node: 'node-1', labels, ports: PORTS })
  const there = await lab.start({ name: 'there', node: 'node-2', labels, ports: PORTS })
  const client = await lab.start({ name: 'client', node: 'node-1' })
  await lab.write(WEB)
  await lab.endpoints(2)
  const node = lab.node('node-1')

  const probes = [
    probe(client.place, VIP, 80),
    probe(client.place, there.addresses[1]!, 8080),
    probe(node.place, here.addresses[0]!, 8080),
  ]
  for (let round = 0; round < 3; round++) {
    await node.agent.kill()
    await sleep(100)
    await node.startAgent().ready()
    await sleep(100)
  }
  for (const { stop } of probes) {
    const { asked, failures } = await stop()
    t.ok(asked > 50, `${asked} connections`)
    t.same(failures, [])
  }

  t.test('its attachments are known to it, and are released as ever', async (t) => {
    t.equal((await node.agent.status()).pods.length, 2)
    await lab.detach(client)
    t.equal((await node.agent.status()).pods.length, 1)
  })

  t.test('what changed while it was away is caught up with', async (t) => {
    await node.agent.kill()
    await lab.remove(here.object)
    await node.startAgent().ready()
    await lab.endpoints(1)
    t.same([...(await survey(there.place, { address: VIP, port: 80 }, 20)).pods.keys()], ['there'])
    await lab.write(here.object)
    await lab.endpoints(2)
  })

  t.test('a second agent for the node refuses to start, and the first goes on', async (t) => {
    const { socket } = node.agent
    const args = ['agent', '--node', node.name, '--source', `dir:${t.testdir({})}`, '--socket', socket]
    const second = node.place.run(() =>
      spawnSync(process.execPath, [MAIN, ...args, '--state-dir', t.testdirName], { encoding: 'utf8', timeout: 20_000 }),
    )
    t.equal(second.status, 1)
    t.match(second.stderr, /another agent listens on/)
    t.ok((await node.agent.status()).ready)
  })
})
