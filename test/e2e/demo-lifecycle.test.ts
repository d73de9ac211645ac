import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { demo, type DemoProcess, leftovers } from './demo-process.js'

/** However a demo ends, nothing of it is left: no process, mount, namespace, link, route or file. */

t.setTimeout(240_000)

/** The process inside of the namespaces: the one that unshare has forked. */
const inner = (run: DemoProcess): number => {
  const found = run.processes().filter(({ command }) => / demo /.test(command) && !command.startsWith('unshare'))
  const other = found.find(({ pid }) => pid !== run.child.pid)
  if (other === undefined) throw new Error('the inner process was not found')
  return other.pid
}

/** Lines of progress at which the demo is interrupted: while agents start, while pods are attached, amid packets. */
const MOMENTS = [/^agents$/m, /^pods$/m, /^shares of endpoints$/m]

t.test('Ctrl-C at any time ends it with exit code 130', async (t) => {
  for (const moment of MOMENTS) {
    const before = leftovers()
    const run = demo([])
    await run.said(moment)
    process.kill(-run.child.pid!, 'SIGINT') // as a terminal does: to the whole foreground group
    const { code, stdout } = await run.done
    t.equal(code, 130, String(moment))
    t.equal(stdout, '', 'no half report')
    t.same(await run.gone(), [])
    t.same(leftovers(), before)
  }
})

t.test('a termination of its process alone ends it too', async (t) => {
  const run = demo([])
  await run.said(/^pods$/m)
  run.child.kill('SIGTERM')
  t.equal((await run.done).code, 143)
  t.same(await run.gone(), [])
})

t.test('killed from outside, everything inside ends by itself', async (t) => {
  for (const moment of MOMENTS) {
    const before = leftovers()
    const run = demo([])
    await run.said(moment)
    t.ok(run.processes().length > 2, 'it is more than one process')
    run.child.kill('SIGKILL')
    t.same(await run.gone(), [], String(moment))
    t.same(leftovers(), before)
  }
})

t.test('killed on the inside, agents and namespaces go with it', async (t) => {
  const before = leftovers()
  const run = demo([])
  await run.said(/^shares of endpoints$/m)
  process.kill(inner(run), 'SIGKILL')
  const { code } = await run.done
  t.equal(code, 1)
  t.same(await run.gone(), [])
  t.same(leftovers(), before)
})

t.test('after a crash the next demo works as ever', async (t) => {
  const crashed = demo([])
  await crashed.said(/^pods$/m)
  crashed.child.kill('SIGKILL')
  const { code } = await demo([]).done
  t.equal(code, 0)
  t.same(await crashed.gone(), [])
})

t.test('kept, it stays up, can be looked into with what it prints, and ends well', async (t) => {
  const before = leftovers()
  const run = demo(['--keep', '--nodes', '2'])
  const [, command = ''] = await run.said(/as that pod\n {4}(.*)\n/)
  const [, yaml = ''] = await run.said(/YAML to edit\)\n {4}(.*)\n/)
  await run.said(/to end it/)
  const { stdout } = await promisify(execFile)('bash', ['-c', command])
  t.match(JSON.parse(stdout), { pod: /^default\// }, 'a Service answers who comes in that way')
  t.same(readdirSync(yaml).sort(), ['namespaces', 'nodes', 'pods', 'services'])
  const [, pid] = await run.said(/or kill (\d+)\n/)
  process.kill(Number(pid), 'SIGTERM')
  t.equal((await run.done).code, 0, 'it has shown what it was to show')
  t.same(await run.gone(), [])
  t.same(leftovers(), before)
})

t.test('kept by a user without rights, it can be looked into as well', async (t) => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const run = demo(['--keep', '--nodes', '1'], [...nobody, '--'])
  const hint = await run.said(/as that pod\n {4}(nsenter .*)\n/).catch((error: unknown) => String(error))
  if (typeof hint === 'string') {
    t.pass('', { skip: `nobody cannot run it here: ${hint.trim().split('\n').at(-1) ?? ''}` })
    return
  }
  await run.said(/to end it/)
  const command = [...nobody, '--', 'bash', '-c', hint[1] ?? '']
  const { stdout } = await promisify(execFile)(command[0]!, command.slice(1))
  t.match(JSON.parse(stdout), { pod: /^default\// })
  run.child.kill('SIGINT')
  t.equal((await run.done).code, 0)
  t.same(await run.gone(), [])
})
