import t from 'tap'
import { NetloomError } from '../../src/base/errors.js'
import { Containerd, withoutContainerd } from '../support/containerd.js'
import { hideVarLib } from '../support/cnitool.js'
import { ask, Lab, type LabNode, SEGMENT_HOST } from '../support/lab.js'
import { ip } from '../support/node.js'

const network = ({ agent }: LabNode) => ({
  cniVersion: '1.0.0',
  name: 'containers',
  plugins: [{ type: 'netloom', agentSocket: agent.socket }],
})

const attached = async ({ agent }: LabNode) => (await agent.status()).pods

const veths = ({ name }: LabNode): string[] => [...ip('-n', name, '-br', 'link').matchAll(/^nlm\S+/gm)].map(String)

/** What the machine does not allow is no failure. */
function unavailable(error: unknown): NetloomError {
  if (error instanceof NetloomError && error.code === 'unavailable') return error
  throw error
}

t.test('containers of containerd', { skip: withoutContainerd() }, async (t) => {
  const lab = await Lab.raise(2)
  t.teardown(() => lab.close())
  const node = lab.node('node-1')
  hideVarLib()
  const containerd = await Containerd.start(t, node.place).catch(unavailable)
  if (containerd instanceof NetloomError) {
    t.pass('a container starts', { skip: containerd.message })
    return
  }
  containerd.configure(network(node))

  t.test('are reached from the node, from other pods and from other nodes, and ask themselves', async (t) => {
    const web = await containerd.start(t, 'web', 'serve', 'web', '80')
    const [lease] = await attached(node)
    const addresses = lease?.addresses ?? []
    t.equal(addresses.length, 2)
    const pods = [await lab.start({ name: 'here', node: 'node-1' }), await lab.start({ name: 'there', node: 'node-2' })]
    for (const [i, address] of addresses.entries()) {
      t.match(await ask(node.place, 'TCP', address, 80), { answer: { pod: 'web' } })
      for (const { place, addresses, name } of pods)
        t.match(await ask(place, 'TCP', address, 80), { answer: { pod: 'web', client: addresses[i] } }, name)
      const asked = await containerd.runToEnd('client', 'ask', address, '80')
      t.match(asked, { code: 0, stdout: /"pod":"web"/ }, `one container asks another at ${address}`)
    }
    t.equal(await web.end(), 0)
  })

  t.test('leave nothing when they have ended', async (t) => {
    const before = { attached: await attached(node), veths: veths(node) }
    const web = await containerd.start(t, 'web', 'serve', 'web', '80')
    t.equal((await attached(node)).length, before.attached.length + 1)
    process.kill(web.pid, 'SIGKILL')
    await web.end()
    t.same({ attached: await attached(node), veths: veths(node) }, before)
  })

  t.test('reach the outside with the address of their node', async (t) => {
    const seen: string[] = []
    const server = await lab.outside.listen(9000, (socket) => {
      seen.push(socket.remoteAddress?.replace('::ffff:', '') ?? '')
      socket.end('hello\n')
    })
    t.teardown(() => server.close())
    for (const { address } of SEGMENT_HOST)
      t.match(await containerd.runToEnd('client', 'ask', address, '9000'), { code: 0, stdout: 'hello\n' })
    t.same(seen, node.addresses)
  })

  t.test('do not start where they cannot be attached, and the reason is told', async (t) => {
    await node.agent.stop()
    t.match(await containerd.runToEnd('early', 'nothing'), { code: 1, stderr: /agent\.sock/ })
    await node.startAgent().ready()
    t.match(await containerd.runToEnd('late', 'nothing'), { code: 0 })
  })
})
