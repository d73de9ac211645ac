import t from 'tap'
import { settled } from '../support/cluster-client.js'
import { withoutControlPlane } from '../support/control-plane.js'
import { raiseCluster } from '../support/cluster-lab.js'
import { ask, serviceValue, survey } from '../support/lab.js'

/** Agents of a cluster: everything they know comes from a real API server, as the shipped service account. */

const PORTS = [{ protocol: 'TCP', port: 8080, undeclared: false }] as const

const WEB = serviceValue({
  name: 'web',
  clusterIPs: ['10.96.0.20'],
  selector: { app: 'web' },
  ports: [{ port: 80, targetPort: 8080 }],
})

const VIP = { address: '10.96.0.20', port: 80 }

const LATE = { address: '10.96.0.21', port: 80 }

/** Endpoints that nobody but the test keeps. */
const sliceOf = (service: string, ...addresses: readonly string[]) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: service, namespace: 'default', labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  ports: [{ port: 8080, protocol: 'TCP' }],
  endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
})

const web = (name: string, node: string) => ({ name, node, ports: PORTS, labels: { app: 'web' } })

interface NodeStatus {
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] }
}

const isReported = (node: unknown): boolean =>
  (node as NodeStatus).status.conditions.some(({ type }) => type === 'NetworkUnavailable')

/** Endpoints of the Service alone; that of the API server counts as well. */
const WITH_KUBERNETES = 1

t.test('a cluster with a real API server', { skip: withoutControlPlane() }, async (t) => {
  const { lab, objects } = await raiseCluster(t, 2)
  const { plane } = objects
  const client = await lab.start({ name: 'client', node: 'node-1', ports: PORTS })
  await lab.start(web('web-1', 'node-1'))
  const second = await lab.start(web('web-2', 'node-2'))
  const spare = await lab.start({ name: 'spare', node: 'node-1' })

  await t.test('agents find all that they ask for allowed', async (t) => {
    for (const { agent } of lab.nodes) {
      const { problems, ready } = await agent.status()
      t.same(problems, [])
      t.ok(ready)
    }
  })

  await t.test('pods reach pods of other nodes with their own addresses', async (t) => {
    for (const [i, address] of second.addresses.entries()) {
      const { answer } = await ask(client.place, 'TCP', address, 8080)
      t.match(answer, { pod: 'web-2', client: client.addresses[i] })
    }
  })

  await t.test('a Service is served by the pods that the cluster selects', async (t) => {
    await lab.write(WEB)
    await lab.endpoints(2 + WITH_KUBERNETES)
    const { pods, failures } = await survey(client.place, VIP, 60)
    t.same(failures, [])
    t.same([...pods.keys()].sort(), ['web-1', 'web-2'])
  })

  await t.test('pods reach the API server by its Service, as its own clients do', async (t) => {
    const { failure } = await ask(client.place, 'TCP', '10.96.0.1', 443)
    t.notMatch(failure ?? '', /refused|timed out|unreachable/, 'something listens there, though it is no pod of ours')
  })

  await t.test('without the API server pods keep their network, come and go', async (t) => {
    await plane.kill()
    await t.resolves(
      lab.nodes[0]!.agent.waitFor(({ problems }) => problems.some((problem) => problem.includes('API server')), 20_000),
      'the agent says so',
    )
    const { failures, pods } = await survey(client.place, VIP, 40)
    t.same(failures, [])
    t.equal(pods.size, 2)
    const { ready, problems } = await lab.nodes[0]!.agent.status()
    t.ok(ready, problems.join('; '))
    await lab.detach(spare)
    t.equal((await lab.attach(spare.sandbox)).length, 2)
  })

  await t.test('what changes is there again when the API server is back', async (t) => {
    await plane.restart()
    // Not by a selector: the controllers of the cluster take a minute to come back.
    await lab.write(serviceValue({ name: 'late', clusterIPs: [LATE.address], ports: [{ port: 80 }] }))
    await plane.apply(sliceOf('late', second.addresses[0]!))
    await lab.endpoints(3 + WITH_KUBERNETES, 60_000)
    const { pods, failures } = await survey(client.place, LATE, 10)
    t.same(failures, [])
    t.same([...pods.keys()], ['web-2'])
    const status = await lab.nodes[0]!.agent.waitFor(({ problems }) => problems.length === 0, 60_000)
    t.same(status.problems, [])
  })

  await t.test('an agent that starts while the API server hangs goes on with what the last one knew', async (t) => {
    const node = lab.node('node-2')
    const late = await lab.start({ name: 'late', node: 'node-2' })
    await lab.detach(late)
    plane.suspend()
    await node.agent.kill()
    const agent = node.startAgent()
    const status = await agent.waitFor(({ ready }) => ready, 60_000)
    t.ok(status.ready)
    t.match(status.problems.join('\n'), /nothing is known of the cluster yet/)
    t.equal((await lab.attach(late.sandbox)).length, 2, 'pods can be attached')
    const { failures } = await survey(client.place, VIP, 40)
    t.same(failures, [], 'routes and Services are as they were')
    plane.resume()
    const after = await agent.waitFor(
      ({ problems, services }) => problems.length === 0 && services.endpoints === 3 + WITH_KUBERNETES,
      60_000,
    )
    t.match(after, { problems: [], services: { endpoints: 3 + WITH_KUBERNETES } })
  })

  await t.test('an agent that is stopped while it waits for the API server ends at once, and well', async (t) => {
    const node = lab.node('node-2')
    await node.agent.kill()
    plane.suspend()
    const agent = node.startAgent()
    await agent.waitFor(({ problems }) => problems.some((problem) => problem.includes('nothing is known')), 60_000)
    await agent.stop()
    t.match(agent.end, 'exit code 0')
    plane.resume()
    t.ok((await node.startAgent().ready()).ready)
  })

  await t.test('the API knows that the network of the nodes stands', async (t) => {
    for (const { name } of lab.nodes) {
      const node = { apiVersion: 'v1', kind: 'Node', metadata: { name } }
      const { status } = (await settled(() => plane.get(node), isReported)) as unknown as NodeStatus
      t.match(
        status.conditions.find(({ type }) => type === 'NetworkUnavailable'),
        { status: 'False' },
      )
    }
  })

  await t.test('a permission that is missing is a problem with a name', async (t) => {
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'netloom' } }
    const { rules } = (await plane.get(role)) as unknown as { rules: { resources: string[] }[] }
    await plane.admin.patch(role, { rules: rules.filter(({ resources }) => !resources.includes('endpointslices')) })
    await plane.restart() // which ends the watches
    const status = await lab.nodes[0]!.agent.waitFor(
      ({ problems }) => problems.some((problem) => problem.includes('endpointslices')),
      60_000,
    )
    t.match(status.problems.join('\n'), /endpointslices.*forbidden/)
    const { failures } = await survey(client.place, VIP, 20)
    t.same(failures, [], 'Services stay as they were')
  })
})
