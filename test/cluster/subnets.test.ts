import t from 'tap'
import { settled } from '../support/cluster-client.js'
import { raiseCluster } from '../support/cluster-lab.js'
import { withoutControlPlane } from '../support/control-plane.js'
import { ask } from '../support/lab.js'

/** Subnets of nodes, where agents claim them from a real API server. */

const PORTS = [{ protocol: 'TCP', port: 8080, undeclared: false }] as const

t.test('nodes whose cluster allocates no subnets claim their own', { skip: withoutControlPlane() }, async (t) => {
  const agentArgs = ['--cluster-networks', '10.99.0.0/24', '--cluster-networks', 'fd00:99::/60']
  const sizes = ['--node-prefix-length-ipv4', '27', '--node-prefix-length-ipv6', '64']
  const { lab, objects } = await raiseCluster(t, 3, { agentArgs: [...agentArgs, ...sizes], allocated: false })
  const pods = await Promise.all(lab.nodes.map(({ name }) => lab.start({ name: `on-${name}`, node: name, ports: PORTS })))

  await t.test('no two nodes have the same, and pods reach pods', async (t) => {
    const subnets = await Promise.all(lab.nodes.map(async ({ agent }) => (await agent.status()).subnets))
    t.equal(new Set(subnets.flat()).size, 6)
    t.ok(subnets.every(([v4 = '', v6 = '']) => /^10\.99\.0\.\d+\/27$/.test(v4) && /^fd00:99:/.test(v6)), String(subnets))
    for (const client of pods)
      for (const server of pods)
        for (const [i, address] of server.addresses.entries()) {
          const { answer } = await ask(client.place, 'TCP', address, 8080)
          t.match(answer, { pod: server.name, client: client.addresses[i] })
        }
  })

  await t.test('a node that is gone gives its subnets back', async (t) => {
    const leases = () => objects.plane.admin.list('coordination.k8s.io/v1', 'Lease', 'netloom')
    t.equal((await leases()).length, 6)
    await lab.node('node-3').agent.stop()
    await lab.remove({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-3' } })
    t.equal((await settled(leases, ({ length }) => length === 4)).length, 4)
  })
})
