import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { NetloomError } from '../../base/errors.js'
import { EXIT, type ExitCode } from '../command.js'

/**
 * The demo and the benchmarks run in network and mount namespaces of their own, which end with their processes: nothing
 * can be left behind, whatever happens. unshare of util-linux makes them; a user without rights gets a user namespace
 * as well.
 */

/** Set for the process inside: the namespaces outside, so that it can make sure that it is not in them. */
const INSIDE = 'NETLOOM_INSIDE'

const UNSHARE = ['--net', '--mount', '--propagation', 'private', '--fork', '--kill-child']
const WITHOUT_RIGHTS = [...UNSHARE, '--map-root-user']

/** Root in a container may lack the rights that a user namespace of its own gives. */
const formsFor = (uid: number): readonly (readonly string[])[] =>
  uid === 0 ? [UNSHARE, WITHOUT_RIGHTS] : [WITHOUT_RIGHTS]

/** Settings that forbid user namespaces, and what allows them. */
const SETTINGS = [
  { file: 'user/max_user_namespaces', forbids: '0', remedy: 'user.max_user_namespaces=10000' },
  { file: 'kernel/unprivileged_userns_clone', forbids: '0', remedy: 'kernel.unprivileged_userns_clone=1' },
  {
    file: 'kernel/apparmor_restrict_unprivileged_userns',
    forbids: '1',
    remedy: 'kernel.apparmor_restrict_unprivileged_userns=0',
  },
]

/** How long the process inside may take to end once its standard input has. */
const GRACE_MS = 15_000

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const KINDS = ['net', 'mnt', 'user'] as const

const ownNamespaces = (): string => KINDS.map((kind) => readlinkSync(`/proc/self/ns/${kind}`)).join(' ')

export const isInside = (): boolean => process.env[INSIDE] !== undefined

/** Which namespaces differ between two lists of {@link ownNamespaces}; none where they cannot be compared. */
function apart(outside: string, own: string): ReadonlySet<string> {
  const [theirs, ours] = [outside.split(' '), own.split(' ')]
  if (theirs.length !== KINDS.length || ours.length !== KINDS.length) return new Set()
  return new Set(KINDS.filter((_, i) => theirs[i] !== '' && theirs[i] !== ours[i]))
}

/**
 * Makes sure that nothing this process does can touch the namespaces of the one that started it.
 * @returns whether it has a user namespace of its own as well
 * @throws NetloomError `internal` where it has no network and mount namespaces of its own
 */
export function assertIsolated(outside = process.env[INSIDE] ?? '', own = ownNamespaces()): { ownUsers: boolean } {
  const different = apart(outside, own)
  if (!different.has('net') || !different.has('mnt'))
    throw new NetloomError('internal', `${INSIDE} is set, but this process has no namespaces of its own`)
  return { ownUsers: different.has('user') }
}

/**
 * Runs a command of this program in namespaces of its own, with standard output and error passed through. Its standard
 * input is a pipe that ends when this process does: so it ends too, even if this one is killed.
 * @returns the command's exit code, or that of the signal that this process was sent
 * @throws NetloomError `unavailable` where the machine allows no such namespaces; `internal` where it was killed
 */
export async function runIsolated(main: string, args: readonly string[]): Promise<ExitCode> {
  const form = findForm()
  const child = spawn('unshare', [...form, '--', process.execPath, ...process.execArgv, main, ...args], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, [INSIDE]: ownNamespaces() },
  })
  child.stdin.on('error', () => undefined) // it has ended, which `exit` tells
  let received: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals): void => {
    received ??= signal
    child.stdin.end()
    setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref()
  }
  for (const signal of SIGNALS) process.on(signal, stop)
  try {
    return exitCode(await ended(child), received)
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, stop)
  }
}

interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const ended = (child: ChildProcess): Promise<End> =>
  new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve({ code, signal }))
  })

/** @throws NetloomError `internal` where a signal ended it that nobody sent to this process */
export function exitCode({ code, signal }: End, received: NodeJS.Signals | undefined): ExitCode {
  if (received !== undefined && (code === EXIT.INTERRUPTED || code === null))
    return (128 + constants.signals[received]) as ExitCode
  if (signal === null) return (code ?? EXIT.FAILED) as ExitCode
  throw new NetloomError('internal', `the process in namespaces of its own was killed (${signal})`)
}

function findForm(): readonly string[] {
  let reason = ''
  for (const form of formsFor(process.getuid?.() ?? 0)) {
    const { status, stderr, error } = spawnSync('unshare', [...form, '--', 'true'], { encoding: 'utf8' })
    if (status === 0) return form
    reason = error === undefined ? stderr.trim().replace(/\n.*/s, '') : explain(error)
  }
  throw new NetloomError('unavailable', `needs namespaces of its own: ${remedies()}run as root (${reason})`)
}

const explain = (error: NodeJS.ErrnoException): string =>
  error.code === 'ENOENT' ? 'unshare of util-linux is not installed' : error.message

function remedies(): string {
  const wrong = SETTINGS.filter(({ file, forbids }) => setting(file) === forbids)
  return wrong.length === 0 ? '' : `${wrong.map(({ remedy }) => `sysctl ${remedy}`).join(' and ')}, or `
}

function setting(file: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${file}`, 'utf8').trim()
  } catch {
    return undefined // this kernel does not have it, so it cannot be what forbids
  }
}

/** Resolves when this process is to end: its standard input is over, or a signal came. Call it once. */
export function untilStopped(): { readonly stopped: Promise<void>; readonly release: () => void } {
  let release = (): void => undefined
  const stopped = new Promise<void>((resolve) => {
    const stop = (): void => resolve()
    process.stdin.on('end', stop).on('close', stop).on('error', stop).resume()
    for (const signal of SIGNALS) process.on(signal, stop)
    release = () => {
      for (const signal of SIGNALS) process.removeListener(signal, stop)
      process.stdin.destroy()
    }
  })
  return { stopped, release }
}
