import t from 'tap'
import { ask, Lab } from '../support/lab.js'
import { type LabRouting, type Topology } from '../support/topology.js'

const PORTS = [
  { protocol: 'TCP', port: 8080, undeclared: false },
  { protocol: 'UDP', port: 8080, undeclared: false },
] as const

/** Two nodes on one segment and one on another, and a router that knows the segments and no pods. */
const routed = (routing: LabRouting): Topology => ({
  segments: { near: [], far: [], world: ['203.0.113.9/24', 'fd00:9::9/64'] },
  routers: {
    router: {
      near: ['172.31.1.1/24', 'fd00:31:1::1/64'],
      far: ['172.31.2.1/24', 'fd00:31:2::1/64'],
      world: ['203.0.113.1/24', 'fd00:9::1/64'],
    },
  },
  nodes: [
    { segment: 'near', net: 1, host: 11 },
    { segment: 'near', net: 1, host: 12 },
    { segment: 'far', net: 2, host: 13 },
  ].map(({ segment, net, host }, i) => ({
    name: `node-${i + 1}`,
    links: { eth0: { segment, addresses: [`172.31.${net}.${host}/24`, `fd00:31:${net}::${host}/64`] } },
    routers: [`172.31.${net}.1`, `fd00:31:${net}::1`],
    podCIDRs: [`10.244.${i + 1}.0/24`, `fd00:244:${i + 1}::/64`],
    routing,
  })),
})

t.test('vxlan carries', async (t) => {
  const lab = await Lab.between(routed({ mode: 'vxlan' }))
  t.teardown(() => lab.close())
  const here = await lab.start({ name: 'here', node: 'node-1', ports: PORTS })
  const there = await lab.start({ name: 'there', node: 'node-3', ports: PORTS })
  console.error(JSON.stringify(await lab.node('node-1').agent.status(), null, 1))
  for (const [i, address] of there.addresses.entries())
    t.match(await ask(here.place, 'TCP', address, 8080), { answer: { pod: 'there', client: here.addresses[i] } })
})
