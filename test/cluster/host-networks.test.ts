import t from 'tap'
import { raiseCluster } from '../support/cluster-lab.js'
import { withoutControlPlane } from '../support/control-plane.js'

/** The nodes of the lab are on 172.30.0.0/24, one of the four subnets that they may claim here. */
const CLAIMABLE = ['--cluster-networks', '172.30.0.0/22', '--node-prefix-length-ipv4', '24']

t.test('no node claims a network that it is connected to itself', { skip: withoutControlPlane() }, async (t) => {
  const { lab } = await raiseCluster(t, 3, { agentArgs: CLAIMABLE, allocated: false })
  const all = await Promise.all(lab.nodes.map(({ agent }) => agent.status()))
  t.same(all.flatMap(({ subnets }) => subnets).sort(), ['172.30.1.0/24', '172.30.2.0/24', '172.30.3.0/24'])
  t.same(all.flatMap(({ problems }) => problems), []) // prettier-ignore
})
