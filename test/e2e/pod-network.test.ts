import t from 'tap'
import { type Server } from 'node:net'
import { ask, Lab, type LabPod, SEGMENT_HOST } from '../support/lab.js'

const PORTS = [
  { protocol: 'TCP', port: 8080, undeclared: false },
  { protocol: 'UDP', port: 8080, undeclared: false },
] as const

t.test('pods reach each other without NAT, and the outside through their node', async (t) => {
  const lab = await Lab.raise(2)
  t.teardown(() => lab.close())
  const here = await lab.start({ name: 'here', node: 'node-1', ports: PORTS })
  const beside = await lab.start({ name: 'beside', node: 'node-1', ports: PORTS })
  const across = await lab.start({ name: 'across', node: 'node-2', ports: PORTS })

  const pairs: [string, LabPod, LabPod][] = [
    ['on one node', here, beside],
    ['from node to node', here, across],
    ['back', across, here],
  ]
  for (const [where, client, server] of pairs)
    for (const protocol of ['TCP', 'UDP'] as const)
      for (const [i, address] of server.addresses.entries())
        t.test(`${where}, ${protocol}, to ${address}: the server sees the client's own address`, async (t) => {
          const { answer } = await ask(client.place, protocol, address, 8080)
          t.match(answer, { pod: server.name, client: client.addresses[i] })
        })

  t.test('a node reaches its own pods and those of the other node', async (t) => {
    for (const pod of [here, across])
      for (const address of pod.addresses)
        t.match((await ask(lab.node('node-1').place, 'TCP', address, 8080)).answer, { pod: pod.name })
  })

  t.test('what leaves the pod networks has the address of the node', async (t) => {
    const seen: string[] = []
    const server: Server = await lab.outside.listen(9000, (socket) => {
      seen.push(socket.remoteAddress ?? '')
      socket.end('{"pod":"outside","node":"","port":9000,"client":""}\n')
    })
    t.teardown(() => server.close())
    for (const { address } of SEGMENT_HOST) t.ok((await ask(here.place, 'TCP', address, 9000)).answer, address)
    t.same(
      seen.map((address) => address.replace('::ffff:', '')),
      lab.node('node-1').addresses,
    )
  })

  t.test('a pod that is detached is gone, and its address rests before it is given again', async (t) => {
    const first = await lab.start({ name: 'first', node: 'node-2', ports: PORTS })
    await lab.detach(first)
    const second = await lab.start({ name: 'second', node: 'node-2', ports: PORTS })
    t.not(second.addresses[0], first.addresses[0])
    t.match(await ask(here.place, 'TCP', first.addresses[0]!, 8080), { failure: /unreachable|timeout/ })
    await lab.detach(first)
    t.pass('a second DEL succeeds')
  })
})
