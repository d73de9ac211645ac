import t from 'tap'
import { CNI_VERSIONS, type CniVersion } from '../../src/cni/version.js'
import { CniTool, hideVarLib, type Conflist, withoutCnitool } from '../support/cnitool.js'
import { ask, Lab, type LabNode } from '../support/lab.js'
import { ip } from '../support/node.js'
import { Sandboxes } from '../support/sandboxes.js'
import { Standalone } from '../support/standalone.js'

const networkOf = ({ agent }: LabNode, cniVersion: CniVersion, name = 'pods'): Conflist => ({
  cniVersion,
  name,
  plugins: [{ type: 'netloom', agentSocket: agent.socket }],
})

interface Result {
  readonly cniVersion: string
  readonly ips: readonly { readonly address: string }[]
}

const withoutPrefix = (address: string): string => address.split('/')[0] ?? ''

const attached = async ({ agent }: LabNode) => (await agent.status()).pods

/** The links of a node that lead to pods. */
const veths = ({ name }: Pick<LabNode, 'name'>): string[] =>
  [...ip('-n', name, '-br', 'link').matchAll(/^nlm\S+/gm)].map(String)

t.test("the CNI project's own client", { skip: withoutCnitool() }, async (t) => {
  hideVarLib()
  const lab = await Lab.raise(1)
  t.teardown(() => lab.close())
  const node = lab.node('node-1')
  const tool = new CniTool(t, node.place)

  for (const cniVersion of CNI_VERSIONS)
    t.test(`adds, checks and deletes in version ${cniVersion}`, async (t) => {
      const sandboxes = new Sandboxes(t)
      tool.configure(networkOf(node, cniVersion))
      const pod = await sandboxes.create('web')
      t.equal(await tool.do('status', 'pods', 'web'), '')

      const result = JSON.parse(await tool.do('add', 'pods', 'web')) as Result
      t.equal(result.cniVersion, cniVersion)
      t.equal(result.ips.length, 2)
      await pod.serve(8080)
      for (const { address } of result.ips)
        t.match(await ask(node.place, 'TCP', withoutPrefix(address), 8080), { answer: { pod: 'web' } }, address)

      const check = await tool.call('check', 'pods', 'web')
      if (cniVersion.startsWith('0.3.')) t.match(check, { code: 1, stderr: /does not support the CHECK/ })
      else t.same(check, { code: 0, stdout: '', stderr: '' })

      t.equal(await tool.do('del', 'pods', 'web'), '')
      t.same(await attached(node), [])
      t.same(veths(node), [])
      t.equal(await tool.do('del', 'pods', 'web'), '', 'a second time, as runtimes do')
    })

  t.test('is told by check what is wrong with an attachment', async (t) => {
    await new Sandboxes(t).create('web')
    tool.configure(networkOf(node, '1.1.0'))
    t.teardown(() => tool.do('del', 'pods', 'web'))
    const { ips } = JSON.parse(await tool.do('add', 'pods', 'web')) as Result
    const address = ips[0]!.address
    ip('-n', 'web', 'address', 'delete', address, 'dev', 'eth0')
    t.match(await tool.call('check', 'pods', 'web'), { code: 1, stderr: new RegExp(withoutPrefix(address)) })
  })

  t.test('is told by status that the agent is away, and that it is back', async (t) => {
    tool.configure(networkOf(node, '1.1.0'))
    await node.agent.stop()
    t.match(await tool.call('status', 'pods', 'web'), { code: 1, stderr: /agent\.sock/ })
    await node.startAgent().ready()
    t.equal(await tool.do('status', 'pods', 'web'), '')
  })

  t.test('collects the garbage of one network, and of no other', async (t) => {
    const sandboxes = new Sandboxes(t)
    for (const name of ['pods', 'others']) tool.configure(networkOf(node, '1.1.0', name))
    for (const [network, name] of [
      ['pods', 'web'],
      ['pods', 'db'],
      ['others', 'mail'],
    ] as const) {
      await sandboxes.create(name)
      await tool.do('add', network, name)
    }
    t.teardown(() => tool.do('del', 'others', 'mail'))
    sandboxes.delete('web')
    await tool.do('gc', 'pods', 'web')
    t.equal((await attached(node)).length, 1)
    t.equal(veths(node).length, 1)
    t.equal(await tool.do('check', 'others', 'mail'), '')
  })

  t.test('tells the pod in CNI_ARGS, and may attach it twice', async (t) => {
    await new Sandboxes(t).create('web')
    tool.configure(networkOf(node, '1.1.0'))
    const args = { IgnoreUnknown: '1', K8S_POD_NAMESPACE: 'shop', K8S_POD_NAME: 'web-0' }
    for (const ifname of ['eth0', 'net1']) {
      t.teardown(() => tool.do('del', 'pods', 'web', { args, ifname }))
      await tool.do('add', 'pods', 'web', { args, ifname })
    }
    const interfaces = (await attached(node)).map(({ ifname, pod }) => `${ifname} of ${pod ?? 'nobody'}`)
    t.same(interfaces.sort(), ['eth0 of shop/web-0', 'net1 of shop/web-0'])
    await tool.do('del', 'pods', 'web', { args })
    t.equal(await tool.do('check', 'pods', 'web', { args, ifname: 'net1' }), '')
  })

  t.test('hands over what a runtime has for one container, in CAP_ARGS', async (t) => {
    const pod = await new Sandboxes(t).create('web')
    await pod.serve(80)
    const wanted = {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      mac: '02:00:00:00:00:77',
      ips: ['10.244.1.77/24'],
      bandwidth: { ingressRate: 1e9, ingressBurst: 1e8, egressRate: 1e9, egressBurst: 1e8 },
    }
    const list = networkOf(node, '1.1.0')
    const capabilities = Object.fromEntries(Object.keys(wanted).map((name) => [name, true]))
    tool.configure({ ...list, plugins: list.plugins.map((plugin) => ({ ...plugin, capabilities })) })
    const call = { capabilities: wanted }
    t.teardown(() => tool.do('del', 'pods', 'web', call))
    const { ips } = JSON.parse(await tool.do('add', 'pods', 'web', call)) as Result
    t.equal(withoutPrefix(ips[0]!.address), '10.244.1.77')
    t.match(ip('-n', 'web', 'link', 'show', 'eth0'), wanted.mac)
    t.match(ip('netns', 'exec', node.name, 'tc', 'qdisc'), /qdisc tbf/)
    for (const address of node.addresses)
      t.match(await ask(lab.outside, 'TCP', address, 8080), { answer: { pod: 'web' } }, address)
    t.equal(await tool.do('check', 'pods', 'web', call), '')
  })

  t.test('asks for addresses in CNI_ARGS, and is told that one is taken', async (t) => {
    const sandboxes = new Sandboxes(t)
    for (const name of ['web', 'db']) await sandboxes.create(name)
    tool.configure(networkOf(node, '1.0.0'))
    const args = { IP: '10.244.1.88', MAC: '02:00:00:00:00:88' }
    t.teardown(() => tool.do('del', 'pods', 'web', { args }))
    const { ips } = JSON.parse(await tool.do('add', 'pods', 'web', { args })) as Result
    t.equal(withoutPrefix(ips[0]!.address), args.IP)
    t.match(ip('-n', 'web', 'link', 'show', 'eth0'), args.MAC)
    t.match(await tool.call('add', 'pods', 'db', { args }), { code: 1, stderr: /10\.244\.1\.88/ })
    t.equal((await attached(node)).length, 1)
  })

  for (const mode of ['bridge', 'ptp'])
    t.test(`gets the same without an agent, mode ${mode}`, async (t) => {
      const sandboxes = new Sandboxes(t)
      const host = await sandboxes.create('host')
      const alone = new CniTool(t, host.place)
      const ranges = [[{ subnet: '10.88.0.0/16' }], [{ subnet: 'fd00:88::/64' }]]
      const { program } = new Standalone(t)
      const plugin = { type: 'netloom', agent: 'off', program, mode, ipam: { type: 'netloom', ranges } }
      alone.configure({ cniVersion: '1.1.0', name: 'alone', plugins: [plugin] })
      t.equal(await alone.do('status', 'alone', 'web'), '')
      for (const name of ['web', 'db']) {
        const pod = await sandboxes.create(name)
        const { ips } = JSON.parse(await alone.do('add', 'alone', name)) as Result
        t.equal(ips.length, 2)
        await pod.serve(8080)
        for (const { address } of ips)
          t.match(await ask(host.place, 'TCP', withoutPrefix(address), 8080), { answer: { pod: name } }, address)
        t.equal(await alone.do('check', 'alone', name), '')
      }
      for (const name of ['web', 'db', 'web']) t.equal(await alone.do('del', 'alone', name), '', name)
      t.same(veths({ name: 'host' }), [])
    })
})
