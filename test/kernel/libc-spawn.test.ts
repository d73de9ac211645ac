import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type ProcessEnd, reapProcess, startProcess } from '../../src/kernel/libc.js'
import { createNamespace, deleteNamespace, inNamespace } from '../../src/kernel/netns.js'

async function untilEnd(pid: number): Promise<ProcessEnd> {
  for (;;) {
    const end = reapProcess(pid)
    if (end !== undefined) return end
    await sleep(1)
  }
}

interface Outcome extends ProcessEnd {
  readonly output: string
  readonly errors: string
}

interface Options {
  readonly input?: string
  readonly env?: Record<string, string>
  /** Where it is started. */
  readonly within?: (start: () => number) => number
}

/** Runs a script of the shell to its end. */
async function run(t: Test, script: string, { input = '', env = {}, within = (start) => start() }: Options = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'libc-spawn-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const [from, output, errors] = ['input', 'output', 'errors'].map((name) => join(directory, name)) as Triple<string>
  writeFileSync(from, input)
  const stdio: Triple<number> = [openSync(from, 'r'), openSync(output, 'w'), openSync(errors, 'w')]
  const pid = within(() => startProcess({ executable: '/bin/sh', args: ['-c', script], env, stdio }))
  const end = await untilEnd(pid)
  for (const fd of stdio) closeSync(fd)
  return { ...end, output: readFileSync(output, 'utf8'), errors: readFileSync(errors, 'utf8') } satisfies Outcome
}

type Triple<T> = [T, T, T]

const NOTHING = openSync('/dev/null', 'r+')
t.teardown(() => closeSync(NOTHING))

/** What whoever started this process has left open for all that come after it. */
const inherited = (): string[] => readdirSync('/proc/self/fd').filter((fd) => !closesOnExec(fd))

function closesOnExec(fd: string): boolean {
  try {
    const [, flags = ''] = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? []
    return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0
  } catch {
    return true // that of the list itself
  }
}

/** <asm-generic/fcntl.h>; Node does not give it. */
const O_CLOEXEC = 0o2000000

t.test('a process has the files, arguments and environment that it is given, and nothing else', async (t) => {
  const script = 'cat; echo "$A|$B|$HOME|$0" >&2; echo /proc/self/fd/*'
  const { code, output, errors } = await run(t, script, { input: 'text\n', env: { A: 'a b', B: 'ü=1' } })
  t.equal(code, 0)
  t.equal(errors, 'a b|ü=1||/bin/sh\n')
  const [text, descriptors = ''] = output.split('\n')
  t.equal(text, 'text')
  const passed = inherited()
  const own = descriptors.split(' ').map((path) => path.split('/').at(-1) ?? '')
  const more = own.filter((fd) => Number(fd) > 2 && !passed.includes(fd))
  // The shell opens the folder itself while it lists it.
  t.ok(more.length <= 1 && ['0', '1', '2'].every((fd) => own.includes(fd)), descriptors)
})

t.test('the end tells the exit code or the signal', async (t) => {
  t.match(await run(t, 'exit 0'), { code: 0, signal: null })
  t.match(await run(t, 'exit 77'), { code: 77, signal: null })
  t.match(await run(t, 'kill -9 $$'), { code: null, signal: constants.signals.SIGKILL })
})

t.test('signals that Node ignores or has handlers for end the process', async (t) => {
  const listener = (): void => void t.fail('the signal came to the wrong process')
  process.on('SIGTERM', listener)
  t.teardown(() => process.removeListener('SIGTERM', listener))
  for (const name of ['SIGPIPE', 'SIGTERM'] as const) {
    const { code, signal } = await run(t, `kill -${name.slice(3)} $$`)
    t.strictSame({ code, signal }, { code: null, signal: constants.signals[name] }, name)
  }
  const { output } = await run(t, 'grep -E "^Sig(Blk|Ign)" /proc/self/status')
  t.match(output, /^SigBlk:\t0{16}\nSigIgn:\t0{16}\n$/)
})

t.test('it leads a process group, so that it can be ended with its children', async (t) => {
  const { output } = await run(t, 'echo $$ $(cut -d " " -f 5 /proc/self/stat)')
  const [pid, group] = output.trim().split(' ')
  t.equal(group, pid)
  const stdio = [NOTHING, NOTHING, NOTHING] as const
  const leader = startProcess({
    executable: '/bin/sh',
    args: ['-c', 'sleep 60 & wait'],
    env: process.env as Env,
    stdio,
  })
  process.kill(-leader, 'SIGKILL')
  t.match(await untilEnd(leader), { code: null, signal: constants.signals.SIGKILL })
})

type Env = Record<string, string>

t.test('a process starts in the network namespace that the thread is in, and stays there', async (t) => {
  const name = `spawn-${process.pid}`
  const path = createNamespace(name)
  t.teardown(() => deleteNamespace(name))
  const script = 'sleep 0.05; readlink /proc/self/ns/net'
  const env = process.env as Env
  const inside = inNamespace(path, () => readlinkSync('/proc/thread-self/ns/net'))
  const { output } = await run(t, script, { env, within: (start) => inNamespace(path, start) })
  t.equal(output.trim(), inside)
  t.not(inside, readlinkSync('/proc/thread-self/ns/net'))
  const { output: outside } = await run(t, script, { env })
  t.equal(outside.trim(), readlinkSync('/proc/thread-self/ns/net'), 'and this thread is back')
})

t.test('CPU time is that of the process and of the children that it has waited for', async (t) => {
  const work = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'
  const idle = await run(t, 'sleep 0.2')
  const own = await run(t, work)
  const ofChild = await run(t, `/bin/sh -c '${work}'; exit 0`)
  t.ok(idle.cpuMs > 0 && idle.cpuMs < 150, `sleeping: ${idle.cpuMs}`)
  for (const { cpuMs } of [own, ofChild]) t.ok(cpuMs > 3 * idle.cpuMs, `working: ${cpuMs}, sleeping: ${idle.cpuMs}`)
})

t.test('what cannot be executed is refused at once, and leaves no process', async (t) => {
  const cases = [
    { executable: '/nonexistent', errno: constants.errno.ENOENT },
    { executable: '/etc', errno: constants.errno.EACCES },
  ]
  const stdio = [NOTHING, NOTHING, NOTHING] as const
  for (const { executable, errno } of cases)
    t.throws(() => startProcess({ executable, env: {}, stdio }), {
      code: 'kernel',
      errno,
      operation: `start ${executable}`,
    })
  t.throws(() => startProcess({ executable: '/bin/true', env: {}, stdio: [NOTHING, NOTHING, 99_999] }), {
    code: 'kernel',
    errno: constants.errno.EBADF,
  })
  t.equal(readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim(), '')
})

t.test('an end is told once, and only of children', async (t) => {
  const pid = startProcess({ executable: '/bin/true', env: {}, stdio: [NOTHING, NOTHING, NOTHING] })
  await untilEnd(pid)
  t.throws(() => reapProcess(pid), { code: 'kernel', errno: constants.errno.ECHILD })
  t.throws(() => reapProcess(1), { code: 'kernel', errno: constants.errno.ECHILD })
})
