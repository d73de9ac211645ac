import { spawn } from 'node:child_process'
import t from 'tap'
import { ChildEnd } from '../../../../src/cli/demo/child-end.js'

const NODE = process.execPath

t.test('a process runs until it has ended, and then says how', async (t) => {
  const end = new ChildEnd(spawn(NODE, ['-e', 'process.exit(7)']))
  t.equal(end.reason, undefined)
  await end.come
  t.equal(end.reason, 'exit code 7')
})

t.test('one that was killed has the signal', async (t) => {
  const child = spawn(NODE, ['-e', 'setInterval(() => {}, 1000)'])
  const end = new ChildEnd(child)
  child.kill('SIGKILL')
  await end.come
  t.equal(end.reason, 'signal SIGKILL')
})

t.test('one that could not be started has ended as well', async (t) => {
  const end = new ChildEnd(spawn('/nowhere/program'))
  await end.come
  t.match(end.reason, /ENOENT/)
})
