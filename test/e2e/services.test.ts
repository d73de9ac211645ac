import t from 'tap'
import { existsSync, writeFileSync } from 'node:fs'
import { spread } from '../../src/cli/demo/statistics.js'
import { ask, Lab, type LabPod, serviceValue, sleep, survey } from '../support/lab.js'

const PORTS = [
  { protocol: 'TCP', port: 8080, undeclared: false },
  { protocol: 'UDP', port: 8053, undeclared: false },
] as const

const VIPS = ['10.96.0.10', 'fd00:96::10'] as const
const WEB = serviceValue({
  name: 'web',
  clusterIPs: VIPS,
  selector: { app: 'web' },
  ports: [
    { name: 'http', port: 80, targetPort: 'p8080' },
    { name: 'dns', port: 53, targetPort: 8053, protocol: 'UDP' },
  ],
})
const EMPTY = serviceValue({
  name: 'empty',
  clusterIPs: ['10.96.0.20', 'fd00:96::20'],
  selector: { app: 'nobody' },
  ports: [{ port: 80 }],
})

/** Frontends: two ports, two families. */
const FRONTENDS = 4

t.test('Services', async (t) => {
  const lab = await Lab.raise(2)
  t.teardown(() => lab.close())
  const labels = { app: 'web' }
  const web: LabPod[] = [
    await lab.start({ name: 'web-0', node: 'node-1', labels, ports: PORTS }),
    await lab.start({ name: 'web-1', node: 'node-2', labels, ports: PORTS }),
    await lab.start({ name: 'web-2', node: 'node-2', labels, ports: PORTS }),
  ]
  const client = await lab.start({ name: 'client', node: 'node-1' })
  await lab.write(WEB, EMPTY)
  await lab.endpoints(web.length * FRONTENDS)

  for (const address of VIPS) {
    t.test(`${address}: endpoints get equal shares of the connections, and see the client's own address`, async (t) => {
      const { pods, failures } = await survey(client.place, { address, port: 80 }, 600)
      t.same(failures, [])
      t.same([...pods.keys()].sort(), ['web-0', 'web-1', 'web-2'])
      t.not(spread([...pods.values()]).evenness, 'uneven', `shares ${[...pods.values()].join(', ')}`)
      const { answer } = await ask(client.place, 'TCP', address, 80)
      t.equal(answer?.client, client.addresses[address.includes(':') ? 1 : 0])
    })

    t.test(`${address}: UDP is served, each flow by one endpoint`, async (t) => {
      const { pods, failures } = await survey(client.place, { address, port: 53, protocol: 'UDP' }, 60)
      t.same(failures, [])
      t.equal(pods.size, 3)
    })

    t.test(`${address}: a pod reaches its own Service, also where that leads to itself`, async (t) => {
      for (const pod of web) {
        const { pods, failures } = await survey(pod.place, { address, port: 80 }, 60)
        t.same(failures, [], pod.name)
        t.ok(pods.has(pod.name), `${pod.name} was among those that answered ${pod.name}`)
      }
    })

    t.test(`${address}: processes of a node are served`, async (t) => {
      const { pods, failures } = await survey(lab.node('node-2').place, { address, port: 80 }, 60)
      t.same(failures, [])
      t.equal(pods.size, 3)
    })

    t.test(`${address}: an unknown port is refused at once`, async (t) => {
      t.match(await ask(client.place, 'TCP', address, 81), { failure: 'refused' })
      t.match(await ask(client.place, 'UDP', address, 81), { failure: 'refused' })
    })
  }

  // Where br_netfilter is loaded the bridge itself would translate, and isolated ports would lose the packet.
  const settings = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables']
  const loaded = existsSync(`/proc/sys/${settings[0]!}`)
  for (const value of ['0', '1'])
    t.test(
      `endpoints on the client's own node answer with bridge-nf-call-iptables=${value}`,
      loaded ? {} : { skip: 'br_netfilter is not loaded' },
      async (t) => {
        lab.node('node-1').place.run(() => {
          for (const path of settings) writeFileSync(`/proc/sys/${path}`, value)
        })
        for (const address of VIPS)
          for (const { place, name } of [client, web[0]!]) {
            const { pods, failures } = await survey(place, { address, port: 80 }, 60)
            t.same(failures, [], name)
            t.ok(pods.has('web-0'), `${name} reaches web-0 by ${address}`)
          }
      },
    )

  t.test('a Service without endpoints refuses at once, from pods and from nodes', async (t) => {
    for (const address of ['10.96.0.20', 'fd00:96::20'])
      for (const place of [client.place, lab.node('node-1').place])
        t.match(await ask(place, 'TCP', address, 80), { failure: 'refused' }, address)
  })

  t.test('a Pod removed from the YAML leaves the Service within 100 ms, and joins it when it is back', async (t) => {
    const [, , last] = web
    const lags: number[] = []
    for (let round = 0; round < 5; round++) {
      const removed = performance.now()
      await lab.remove(last!.object)
      await lab.endpoints(2 * FRONTENDS)
      lags.push(performance.now() - removed)
      const { pods, failures } = await survey(client.place, { address: VIPS[0], port: 80 }, 60)
      t.same(failures, [])
      t.same([...pods.keys()].sort(), ['web-0', 'web-1'])
      await lab.write(last!.object)
      await lab.endpoints(3 * FRONTENDS)
      t.ok((await survey(client.place, { address: VIPS[0], port: 80 }, 120)).pods.has('web-2'))
    }
    const median = lags.sort((a, b) => a - b)[2]!
    t.comment(`milliseconds until both kernels had it: ${lags.map(Math.round).join(', ')}`)
    t.ok(median <= 100, `median ${median} ms`)
  })

  t.test('a Pod that is not ready gets no new connections', async (t) => {
    const [first] = web
    const notReady = {
      ...first!.object,
      status: { ...(first!.object['status'] as object), conditions: [{ type: 'Ready', status: 'False' }] },
    }
    await lab.write(notReady)
    await lab.endpoints(2 * FRONTENDS)
    t.notOk((await survey(client.place, { address: VIPS[0], port: 80 }, 60)).pods.has('web-0'))
    await lab.write(first!.object)
    await lab.endpoints(3 * FRONTENDS)
  })

  t.test('no connection fails while endpoints come and go', async (t) => {
    const stop = new AbortController()
    const churn = (async () => {
      while (!stop.signal.aborted) {
        await lab.remove(web[2]!.object)
        await sleep(30)
        await lab.write(web[2]!.object)
        await sleep(30)
      }
    })()
    const { failures } = await survey(client.place, { address: VIPS[0], port: 80 }, 1000)
    stop.abort()
    await churn
    t.same(failures, [])
    await lab.endpoints(3 * FRONTENDS)
  })

  t.test('a broken file changes nothing, and the agent says which file, line and field', async (t) => {
    const broken = serviceValue({ name: 'web', clusterIPs: VIPS, selector: { app: 'web' }, ports: [{ port: 99_999 }] })
    await lab.write(broken)
    const { agent } = lab.node('node-1')
    const status = await agent.waitFor(({ problems }) => problems.length > 0, 5000)
    t.match(status.problems.join('\n'), /default\.web\.yaml:\d+: .*port/)
    t.same((await survey(client.place, { address: VIPS[0], port: 80 }, 60)).failures, [])
    await lab.write(WEB)
    t.same((await agent.waitFor(({ problems }) => problems.length === 0, 5000)).problems, [])
  })
})
