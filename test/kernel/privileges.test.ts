import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MAIN, PLUGIN } from '../../src/cli/demo/installation.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { cniError } from '../support/cni-exec.js'
import { agentPod } from '../support/manifest.js'
import { clearNamespace, raiseUplink, SELF } from '../support/node.js'

/** The capabilities (capabilities(7)) of the DaemonSet are enough for all that the agent does, and none is too much. */

const NEEDED = agentPod().container.securityContext.capabilities.add
/** In <linux/capability.h>, by number. */
const NUMBERS: Readonly<Record<string, bigint>> = { NET_ADMIN: 12n, SYS_ADMIN: 21n }

const without = spawnSync('setpriv', ['--version']).error !== undefined
const skip = without ? 'setpriv (util-linux) is not installed' : false

interface Running {
  readonly socket: string
  readonly pid: number | undefined
  readonly ready: boolean
  readonly words: () => string
}

/** Starts an agent as root with these capabilities only, and none that an executable could bring back. */
async function startWith(t: Test, capabilities: readonly string[]): Promise<Running> {
  t.teardown(clearNamespace)
  raiseUplink()
  const folder = mkdtempSync(join(tmpdir(), 'netloom-privileges-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'objects'))
  writeFileSync(join(folder, 'objects/node.json'), JSON.stringify(SELF))
  const socket = join(folder, 'agent.sock')
  const bounds = ['-all', ...capabilities.map((name) => `+${name.toLowerCase()}`)].join(',')
  const args = [
    ...['--bounding-set', bounds, '--inh-caps', '-all', process.execPath, MAIN, 'agent', '--node', 'node-1'],
    ...['--source', `dir:${join(folder, 'objects')}`, '--socket', socket, '--state-dir', join(folder, 'state')],
    ...['--cni-bin-dir', join(folder, 'bin'), '--cni-conf-dir', join(folder, 'net.d')],
  ]
  const child = spawn('setpriv', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text))
  for (let i = 0; child.exitCode === null && !existsSync(join(folder, 'net.d')) && i < 3000; i++) await sleep(20)
  return { socket, pid: child.pid, ready: existsSync(join(folder, 'net.d')), words: () => words }
}

const LIMITS = { ingressRate: 1e7, ingressBurst: 1e6, egressRate: 1e7, egressBurst: 1e6 }

/** Asks for everything that there is to ask for. */
function call(socket: string, command: string, mode: string) {
  const config = {
    ...{ cniVersion: '1.1.0', name: 'pods', type: 'netloom', agentSocket: socket, agentWait: '0s' },
    ...{ mode, ingressPolicy: 'isolated', sysctl: { 'net/ipv4/conf/IFNAME/arp_filter': '1' } },
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }], bandwidth: LIMITS },
  }
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'a',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/x',
  }
  const { status, stdout } = spawnSync(PLUGIN, { env, input: JSON.stringify(config), encoding: 'utf8' })
  return status === 0 ? 'done' : cniError(stdout).details
}

t.test(`${NEEDED.join(' and ')} are enough`, { skip }, async (t) => {
  const { socket, pid, ready, words } = await startWith(t, NEEDED)
  t.ok(ready, words())
  const has = /^CapBnd:\s+(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  t.equal(BigInt(`0x${has}`), NEEDED.reduce((set, name) => set | (1n << (NUMBERS[name] ?? 63n)), 0n)) // prettier-ignore
  createNamespace('a')
  t.teardown(() => deleteNamespace('a'))
  for (const mode of ['bridge', 'ptp'])
    for (const command of ['ADD', 'CHECK', 'DEL']) t.equal(call(socket, command, mode), 'done', `${mode} ${command}`)
  t.notMatch(words(), /"level":[456]0/, 'and nothing was refused on the side')
})

for (const name of NEEDED)
  t.test(`without ${name} it does not work`, { skip }, async (t) => {
    const { socket, ready, words } = await startWith(t, NEEDED.filter((other) => other !== name)) // prettier-ignore
    createNamespace('a')
    t.teardown(() => deleteNamespace('a'))
    if (ready) return t.match(call(socket, 'ADD', 'bridge'), /EPERM/)
    return t.match(words(), /not permitted/, 'and the process ends')
  })
