import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type AgentStatus, callAgent } from '../../src/daemon/client.js'
import { MAIN } from '../../src/cli/demo/installation.js'
import { eventually, ip, nft, raiseUplink, SELF, serviceObject, type TestContext } from '../support/node.js'

/** The agent as a process: how it starts, refuses to, and ends. */

raiseUplink()

interface Folders {
  readonly objects: string
  readonly state: string
  readonly socket: string
}

function folders(t: TestContext): Folders {
  const root = mkdtempSync(join(tmpdir(), 'netloom-agent-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const objects = join(root, 'objects')
  mkdirSync(objects)
  writeFileSync(join(objects, 'node.json'), JSON.stringify(SELF))
  return { objects, state: join(root, 'state'), socket: join(root, 'agent.sock') }
}

const commandLine = ({ objects, state, socket }: Folders): string[] => [
  ...[MAIN, 'agent', '--node', 'node-1', '--source', `dir:${objects}`],
  ...['--state-dir', state, '--socket', socket],
]

/** A running agent, and all it has said. */
interface Running {
  readonly child: ChildProcess
  readonly log: () => { readonly msg: string; readonly level: number }[]
}

async function start(t: TestContext, at: Folders, ...more: readonly string[]): Promise<Running> {
  const child = spawn(process.execPath, [...commandLine(at), ...more], { stdio: ['pipe', 'ignore', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const lines = (): string[] => text.split('\n').filter((line) => line.startsWith('{'))
  const log = () => lines().map((line) => JSON.parse(line) as { msg: string; level: number })
  for (let i = 0; !log().some(({ msg }) => msg === 'agent is ready'); i++) {
    if (i > 1000 || child.exitCode !== null) throw new Error(`the agent is not ready: ${text}`)
    await sleep(10)
  }
  return { child, log }
}

/** Runs an agent that is to end by itself. */
const runAgent = (at: Folders, ...more: readonly string[]) => {
  const { status, signal, stderr } = spawnSync(process.execPath, [...commandLine(at), ...more], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status, signal, stderr }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  t.test(`${signal} ends the agent, what it made stays, and the socket goes`, async (t) => {
    const at = folders(t)
    const { child, log } = await start(t, at)
    child.kill(signal)
    t.same(await once(child, 'exit'), [0, null])
    t.match(ip('address', 'show', 'netloom0'), /10\.244\.1\.1\/24/)
    t.match(nft('list', 'tables'), /netloom-services/)
    t.match(log().at(-1), { msg: /what the kernel holds stays/ })
    await t.rejects(callAgent(at.socket, 'status'), { code: 'unavailable' })
    t.same(
      log().filter(({ level }) => level >= 40),
      [],
      'and there was nothing to warn of',
    )
  })

t.test('what an agent installed stays when it stops, attaches pods, and goes with uninstall', async (t) => {
  const at = folders(t)
  const [bin, conf] = [join(at.state, '../bin'), join(at.state, '../net.d')]
  const folder = ['--cni-bin-dir', bin, '--cni-conf-dir', conf]
  const { child } = await start(t, at, ...folder)
  t.same([readdirSync(bin), readdirSync(conf)], [['netloom'], ['10-netloom.conflist']])
  const list = JSON.parse(readFileSync(join(conf, '10-netloom.conflist'), 'utf8')) as { plugins: object[] }
  const status = () => {
    const env = { CNI_COMMAND: 'STATUS' }
    const input = JSON.stringify({ cniVersion: '1.1.0', name: 'netloom', ...list.plugins[0] })
    return spawnSync(join(bin, 'netloom'), { env, input, encoding: 'utf8' })
  }
  t.match(status(), { status: 0, stdout: '' }, 'by what is installed the agent is reached')
  const { problems } = (await callAgent(at.socket, 'status')) as AgentStatus
  t.same(problems, [])
  child.kill('SIGTERM')
  await once(child, 'exit')
  t.same([readdirSync(bin), readdirSync(conf)], [['netloom'], ['10-netloom.conflist']])
  const args = ['uninstall', '--socket', at.socket, '--state-dir', at.state, ...folder]
  t.match(spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' }), {
    status: 0,
    stdout: /^rm .*conflist\nrm /,
  })
  t.same([readdirSync(bin), readdirSync(conf)], [[], []])
})

t.test('an agent that is supervised ends with its supervisor', async (t) => {
  const { child } = await start(t, folders(t), '--stop-on-stdin-end')
  const ended = once(child, 'exit')
  child.stdin?.end()
  t.same(await ended, [0, null])
})

t.test('status tells of an agent, with the exit code for scripts', async (t) => {
  const at = folders(t)
  await start(t, at)
  const status = (...more: readonly string[]) =>
    spawnSync(process.execPath, [MAIN, 'status', '--socket', at.socket, ...more], { encoding: 'utf8' })
  t.match(status(), { status: 0, stdout: /^node node-1, netloom .*: ready\n[^]*\nno problems\n$/ })
  writeFileSync(join(at.objects, 'broken.yaml'), 'apiVersion: v1\nkind: Service\nmetadata: [')
  await t.resolves(untilProblem(at.socket, /broken\.yaml:3/))
  t.match(status('--json'), { status: 1 })
  writeFileSync(join(at.objects, 'broken.yaml'), JSON.stringify(serviceObject('web', ['10.96.0.10'])))
  await t.resolves(
    eventuallyStatus(at.socket, ({ problems, services }) => problems.length === 0 && services.frontends === 1),
  )
  t.match(status(), { status: 0, stdout: /Services: 1 of 1 frontends/ })
})

const untilProblem = (socket: string, pattern: RegExp): Promise<void> =>
  eventuallyStatus(socket, ({ problems }) => problems.some((problem) => pattern.test(problem)))

async function eventuallyStatus(socket: string, check: (status: AgentStatus) => boolean): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (check((await callAgent(socket, 'status')) as AgentStatus)) return
    await sleep(10)
  }
  throw new Error(`it is still ${JSON.stringify(await callAgent(socket, 'status'))}`)
}

t.test('a method that the agent does not know is an error, and no more', async (t) => {
  const at = folders(t)
  await start(t, at)
  await t.rejects(callAgent(at.socket, 'frobnicate'), { code: 'unsupported', field: 'method', message: /frobnicate/ })
  await t.resolves(callAgent(at.socket, 'status'))
})

t.test('a damaged journal is put aside, untouched, and told of; the node goes on attaching', async (t) => {
  const at = folders(t)
  mkdirSync(at.state)
  writeFileSync(join(at.state, 'leases'), 'these are no records at all')
  await start(t, at)
  const [aside, ...more] = readdirSync(at.state).filter((name) => name.includes('damaged'))
  t.match(aside, /^leases\.damaged-\d+$/)
  t.same(more, [])
  t.equal(readFileSync(join(at.state, aside ?? ''), 'utf8'), 'these are no records at all')
  t.match(await callAgent(at.socket, 'status'), { ready: true, problems: [/damaged in 1 places; .*leases\.damaged-/] })
})

t.test('a folder of objects that is not there ends the agent with its name', async (t) => {
  const at = { ...folders(t), objects: '/nowhere/objects' }
  const { status, stderr } = runAgent(at)
  t.equal(status, 1)
  t.match(stderr, /netloom agent: .*\/nowhere\/objects/)
})

t.test('a socket that cannot be listened on ends the agent before it touches anything', async (t) => {
  const at = folders(t)
  writeFileSync(at.socket, 'precious')
  const { status, stderr } = runAgent(at)
  t.equal(status, 1)
  t.match(stderr, /agent\.sock is there already, and is no socket/)
  t.equal(readFileSync(at.socket, 'utf8'), 'precious')
  t.throws(() => readFileSync(join(at.state, 'leases')), { code: 'ENOENT' })
})

t.test('killed at any moment of its start, the next one comes up over what is there', async (t) => {
  const at = folders(t)
  for (let ms = 100; ms < 700; ms += 75) {
    const child = spawn(process.execPath, commandLine(at), { stdio: 'ignore' })
    await sleep(ms)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const { child } = await start(t, at)
  await t.resolves(eventually(() => ip('address', 'show', 'netloom0').includes('fd00:244:1::1/64')))
  t.same(((await callAgent(at.socket, 'status')) as AgentStatus).problems, [])
  child.kill('SIGTERM')
  await once(child, 'exit')
})
