import t from 'tap'
import { assertIsolated, exitCode } from '../../../../src/cli/demo/isolation.js'
import { EXIT } from '../../../../src/cli/command.js'

const OUTSIDE = 'net:[1] mnt:[2] user:[3]'

t.test('the work is refused outside of namespaces of its own', async (t) => {
  const rows: readonly [name: string, outside: string, own: string][] = [
    ['the same namespaces', OUTSIDE, OUTSIDE],
    ['the same network', OUTSIDE, 'net:[1] mnt:[9] user:[3]'],
    ['the same mounts', OUTSIDE, 'net:[9] mnt:[2] user:[9]'],
    ['an empty variable', '', 'net:[9] mnt:[9] user:[3]'],
    ['a variable set by hand', '1', 'net:[9] mnt:[9] user:[3]'],
  ]
  for (const [name, outside, own] of rows) t.throws(() => assertIsolated(outside, own), { code: 'internal' }, name)
})

t.test('a user namespace of its own is recognised', async (t) => {
  t.same(assertIsolated(OUTSIDE, 'net:[8] mnt:[9] user:[3]'), { ownUsers: false })
  t.same(assertIsolated(OUTSIDE, 'net:[8] mnt:[9] user:[7]'), { ownUsers: true })
})

t.test('exit codes are those of the process inside, or of the signal that came', async (t) => {
  t.equal(exitCode({ code: 0, signal: null }, undefined), 0)
  t.equal(exitCode({ code: 1, signal: null }, undefined), 1)
  t.equal(exitCode({ code: EXIT.INTERRUPTED, signal: null }, undefined), 130)
  t.equal(exitCode({ code: EXIT.INTERRUPTED, signal: null }, 'SIGINT'), 130)
  t.equal(exitCode({ code: EXIT.INTERRUPTED, signal: null }, 'SIGTERM'), 143)
  t.equal(exitCode({ code: 0, signal: null }, 'SIGINT'), 0, '--keep that is ended has succeeded')
})

t.test('a process that others kill is a failure, told without a name of a command', async (t) => {
  const killed = { code: null, signal: 'SIGKILL' } as const
  t.throws(() => exitCode(killed, undefined), { code: 'internal', message: /^the process .* was killed \(SIGKILL\)$/ })
  t.equal(exitCode(killed, 'SIGTERM'), 143, 'one that does not end when it is told to')
})
