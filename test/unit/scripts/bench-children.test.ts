import { execFile } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { Children, signalName } from '../../../scripts/bench/children.js'
import { type ProcessStart } from '../../../src/kernel/libc.js'

const NOTHING = openSync('/dev/null', 'r+')
t.teardown(() => closeSync(NOTHING))

const shell = (script: string): ProcessStart => ({
  executable: '/bin/sh',
  args: ['-c', script],
  env: { PATH: process.env['PATH'] ?? '' },
  stdio: [NOTHING, NOTHING, NOTHING],
})

/** Processes of this one, the dead that nobody asked for included. */
const own = (): string[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter((pid) => pid !== '' && existsSync(`/proc/${pid}`))

function started(t: Test, timeoutMs?: number): { children: Children; stop: AbortController } {
  const stop = new AbortController()
  const children = new Children(stop.signal, timeoutMs)
  t.teardown(() => children.close())
  return { children, stop }
}

t.test('each of many processes at once gets its own end', async (t) => {
  const { children } = started(t)
  const codes = Array.from({ length: 40 }, (_, i) => i)
  const ends = await Promise.all(codes.map((code) => children.start(shell(`exit ${code}`))))
  t.strictSame(
    ends.map(({ code }) => code),
    codes,
  )
  t.strictSame(own(), [])
})

t.test('processes of Node beside them end as ever', async (t) => {
  const { children } = started(t)
  const theirs = Array.from({ length: 8 }, () => promisify(execFile)('/bin/sh', ['-c', 'echo here']))
  const ours = Array.from({ length: 8 }, () => children.start(shell('exit 3')))
  t.ok((await Promise.all(theirs)).every(({ stdout }) => stdout === 'here\n'))
  t.ok((await Promise.all(ours)).every(({ code }) => code === 3))
})

t.test('one that takes too long is killed, with its children, and reaped', async (t) => {
  const { children } = started(t, 100)
  const directory = t.testdir()
  const file = openSync(join(directory, 'pid'), 'w')
  const late = { ...shell('sleep 60 & echo $!; wait'), stdio: [NOTHING, file, NOTHING] } as const
  await t.rejects(children.start(late), {
    code: 'unavailable',
    message: '/bin/sh was killed, because it did not end within 100 ms',
  })
  closeSync(file)
  t.strictSame(own(), [])
  const pid = readFileSync(join(directory, 'pid'), 'utf8').trim()
  t.match(pid, /^\d+$/)
  t.ok(await gone(pid), 'its child')
})

t.test('one that others kill is not late', async (t) => {
  const { children } = started(t)
  t.match(await children.start(shell('kill -9 $$')), { code: null, signal: 9 })
})

/** Whether a process ends within two seconds; whoever inherits it may leave it dead for longer. */
async function gone(pid: string): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    const status = existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ''
    if (status === '' || /\) [ZX] /.test(status)) return true
    await sleep(10)
  }
  return false
}

t.test('on a stop those that run are killed, and none is started any more', async (t) => {
  const { children, stop } = started(t)
  const running = [1, 2, 3].map(() => children.start(shell('sleep 60')))
  stop.abort()
  for (const { signal } of await Promise.all(running)) t.equal(signalName(signal ?? 0), 'SIGKILL')
  t.throws(() => children.start(shell('exit 0')), { name: 'AbortError' })
  t.strictSame(own(), [])
})

t.test('at the close nothing is left: no process, no listener', async (t) => {
  const before = process.listenerCount('SIGCHLD')
  const { children } = started(t)
  const running = children.start(shell('sleep 60'))
  await children.close()
  t.strictSame(own(), [])
  t.equal((await running).code, null)
  t.equal(process.listenerCount('SIGCHLD'), before)
})

t.test('what cannot be started is refused', async (t) => {
  const { children } = started(t)
  t.throws(() => children.start({ ...shell(''), executable: '/nonexistent' }), { code: 'kernel' })
})
