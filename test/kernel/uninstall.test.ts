import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { EXIT, runCommand } from '../../src/cli/command.js'
import { uninstallCommand } from '../../src/cli/uninstall.js'
import {
  clearNamespace,
  ip,
  nft,
  PEER,
  raiseUplink,
  SELF,
  serviceObject,
  sliceObject,
  type TestContext,
  TestNode,
} from '../support/node.js'
import { printed } from '../unit/cli/printed.js'

const WORLD = [
  SELF,
  PEER,
  serviceObject('web', ['10.96.0.10', 'fd00:96::10']),
  sliceObject({ service: 'web', addresses: ['10.244.1.2'] }),
]

/** All that the kernel holds, without what counts time. */
const everything = (): string =>
  [ip('link'), ip('address'), ip('route', 'show', 'table', 'all'), ip('-6', 'route', 'show', 'table', 'all'), nft('list', 'ruleset')]
    .join('\n')
    .replace(/valid_lft \S+ preferred_lft \S+|expires \d+sec|\bstate \w+\b|,LOWER_UP|\bqlen \d+/g, '')
    // Those that a forwarding node has: whether it forwards is not ours to turn back.
    .replace(/^anycast .*\n/gm, '') // prettier-ignore

/** Things of others, of the kinds that we make. */
function raiseForeign(): void {
  ip('link', 'add', 'foreign0', 'type', 'bridge')
  ip('link', 'set', 'foreign0', 'up')
  ip('address', 'add', '10.99.0.1/24', 'dev', 'foreign0')
  ip('route', 'add', '10.50.0.0/16', 'via', '192.168.50.9', 'proto', 'static')
  nft('add', 'table', 'ip', 'netloom-mine')
  nft('add', 'table', 'inet', 'netloom-services')
  nft('add', 'table', 'inet', 'foreign')
  nft('add', 'chain', 'inet', 'foreign', 'c', '{ type nat hook postrouting priority srcnat; }')
}

const uninstall = (node: TestNode, ...args: readonly string[]) =>
  printed(() =>
    runCommand(uninstallCommand, [
      ...['--socket', node.socket, '--state-dir', node.stateDir],
      ...['--cni-bin-dir', binDirOf(node), '--cni-conf-dir', confDirOf(node), ...args],
    ]),
  )

const binDirOf = ({ folder }: TestNode): string => join(folder, 'bin')
const confDirOf = ({ folder }: TestNode): string => join(folder, 'net.d')

/** A node that has been used, and whose agent has ended. */
async function used(t: TestContext): Promise<{ node: TestNode; before: string }> {
  t.teardown(clearNamespace)
  raiseUplink()
  raiseForeign()
  const before = everything()
  const node = await new TestNode(t, WORLD, { mode: 'auto' }).start()
  for (const name of ['a', 'b']) node.createPod(name)
  for (const name of ['a', 'b']) await node.cni('ADD', name, { config: { ingressPolicy: 'isolated' } })
  await node.stop()
  return { node, before }
}

t.test('everything of ours goes, everything of others stays', async (t) => {
  const { node, before } = await used(t)
  t.not(everything(), before)
  // Left by an agent of another version, or by hand under our number.
  ip('route', 'add', '10.244.2.0/24', 'via', '192.168.50.2', 'proto', '110', 'metric', '50')
  ip('route', 'add', '10.244.2.0/24', 'via', '192.168.50.2', 'proto', '110', 'table', '99')
  const { result, out, err } = await uninstall(node)
  t.same([result, err], [EXIT.OK, ''])
  t.equal(everything(), before)
  t.match(out, /ip link delete dev netloom0/)
  t.match(out, /ip link delete dev nlx4\nip link delete dev nlx6\nnft delete table inet netloom-tunnels/)
  t.match(out, /nft delete table ip6 netloom-services/)
  t.match(out, /nft delete table inet netloom-isolation/)
  t.notOk(existsSync(node.stateDir), 'leases and their folder')
  t.notOk(existsSync(node.socket))
  t.notMatch(ip('-n', 'a', 'link'), /eth0/, 'pods have lost their network')
  const again = await uninstall(node)
  t.same([again.result, again.out, again.err], [EXIT.OK, '', ''], 'and then there is nothing left to do')
})

t.test('--dry-run says what would be done, and does nothing', async (t) => {
  const { node } = await used(t)
  const before = everything()
  const { result, out } = await uninstall(node, '--dry-run')
  t.equal(result, EXIT.OK)
  t.equal(everything(), before)
  t.ok(existsSync(join(node.stateDir, 'leases')))
  const { out: done } = await uninstall(node)
  t.equal(done, out, 'and then just that is done')
})

t.test('it refuses while an agent is running', async (t) => {
  const { node } = await used(t)
  await node.restart(WORLD)
  const before = everything()
  const { result, err } = await uninstall(node)
  t.equal(result, EXIT.FAILED)
  t.match(err, /an agent is running/)
  t.equal(everything(), before)
})

t.test('an agent that listens and answers nonsense is running as well', async (t) => {
  const { node } = await used(t)
  const server = createServer((connection) => connection.end('?'))
  server.listen(node.socket)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { result, err } = await uninstall(node)
  t.equal(result, EXIT.FAILED)
  t.match(err, /an agent is running/)
})

t.test("others' files in the folders stay", async (t) => {
  const { node } = await used(t)
  writeFileSync(join(node.stateDir, 'notes'), '')
  writeFileSync(join(node.folder, 'more'), '')
  t.equal((await uninstall(node)).result, EXIT.OK)
  t.same(readdirSync(node.stateDir), ['notes'])
  t.same(readdirSync(node.folder).sort(), ['more', 'state'])
})

t.test('a path that was given by mistake loses nothing', async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  const node = new TestNode(t)
  const folder = join(node.folder, 'precious')
  mkdirSync(join(folder, 'leases'), { recursive: true })
  writeFileSync(join(folder, 'agent.sock'), 'no socket')
  writeFileSync(join(folder, 'netloom'), 'no executable')
  writeFileSync(join(folder, '10-netloom.conflist'), '{}')
  const args = ['--state-dir', folder, '--socket', join(folder, 'agent.sock')]
  const cni = ['--cni-bin-dir', folder, '--cni-conf-dir', folder]
  await printed(() => runCommand(uninstallCommand, [...args, ...cni]))
  t.same(readdirSync(folder).sort(), ['10-netloom.conflist', 'agent.sock', 'leases', 'netloom'])
  rmdirSync(join(folder, 'leases'))
})

t.test('on a node that never had netloom there is nothing to do', async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  raiseForeign()
  const before = everything()
  const node = new TestNode(t)
  t.match(await uninstall(node), { result: EXIT.OK, out: '', err: '' })
  t.equal(everything(), before)
})
