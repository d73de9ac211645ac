#!/usr/bin/env node
/**
 * Runs COMMAND in network and mount namespaces of its own, with an empty /run: `node scripts/namespaced.mjs COMMAND
 * [ARG...]`. Root and a user without rights get the same; for the latter a user namespace makes it possible. When the
 * outer process dies, COMMAND is killed and the namespaces go with it.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const UNSHARE = ['unshare', '--net', '--mount', '--propagation', 'private', '--fork', '--kill-child']
/**
 * A constant, never put together from parts: COMMAND comes as arguments. The shell is here because it can replace
 * itself by COMMAND, so that signals (--kill-child's among them) reach COMMAND and not a parent that survives it.
 */
const PRIVATE_RUN = ['sh', '-c', 'mount -t tmpfs -o mode=0755 tmpfs /run && exec "$@"', 'sh']
/** Root in a container may lack the rights that a user namespace of its own would give, hence its second form. */
const FORMS = [...(process.getuid() === 0 ? [[]] : []), ['--map-root-user']].map((options) => [
  ...UNSHARE,
  ...options,
  '--',
  ...PRIVATE_RUN,
])

/** Settings of kernels and distributions that forbid user namespaces, and what allows them. */
const SETTINGS = [
  { file: 'kernel/unprivileged_userns_clone', forbids: '0', remedy: 'kernel.unprivileged_userns_clone=1' },
  {
    file: 'kernel/apparmor_restrict_unprivileged_userns',
    forbids: '1',
    remedy: 'kernel.apparmor_restrict_unprivileged_userns=0',
  },
  { file: 'user/max_user_namespaces', forbids: '0', remedy: 'user.max_user_namespaces=10000' },
]

let found

/**
 * The arguments to put before a command so that it runs in namespaces of its own, tried out once.
 * @returns {{ prefix: string[] } | { problem: string }} `problem`: one line, why there can be none
 */
export function namespaces() {
  found ??= findForm()
  return found
}

/** Debian keeps ip, nft and mount's kin out of a user's PATH, though a user can run them in a namespace. */
export const toolPath = () => `${process.env.PATH ?? '/usr/bin:/bin'}:/usr/local/sbin:/usr/sbin:/sbin`

function findForm() {
  let reason = ''
  for (const prefix of FORMS) {
    const [command, ...args] = [...prefix, 'true']
    const { status, stderr, error } = spawnSync(command, args, {
      encoding: 'utf8',
      env: { ...process.env, PATH: toolPath() },
    })
    if (status === 0) return { prefix }
    reason = error?.code === 'ENOENT' ? 'unshare (util-linux) is not installed' : (error?.message ?? stderr.trim())
  }
  const sysctls = SETTINGS.filter(({ file, forbids }) => setting(file) === forbids).map((row) => `sysctl ${row.remedy}`)
  const rights = process.getuid() === 0 ? 'give root CAP_SYS_ADMIN (container engines: --privileged)' : 'run as root'
  return { problem: `needs namespaces: ${[...sysctls, rights].join(', or ')} (${reason})` }
}

function setting(file) {
  try {
    return readFileSync(`/proc/sys/${file}`, 'utf8').trim()
  } catch {
    return undefined // this kernel does not know it, so it cannot be what forbids
  }
}

function main(command) {
  if (command.length === 0) return fail('usage: namespaced.mjs COMMAND [ARG...]', 2)
  const { prefix, problem } = namespaces()
  if (problem !== undefined) return fail(`${command[0]} ${problem}`, 1)
  const [unshare, ...args] = [...prefix, ...command]
  const child = spawn(unshare, args, { stdio: 'inherit', env: { ...process.env, PATH: toolPath() } })
  // unshare itself blocks these two; its end is COMMAND's end. A terminal's Ctrl-C has reached COMMAND already.
  process.on('SIGTERM', () => child.kill('SIGKILL'))
  process.on('SIGINT', () => undefined)
  child.on('error', (error) => fail(error.message, 1))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal]
  })
}

function fail(message, code) {
  console.error(message)
  process.exitCode = code
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))
