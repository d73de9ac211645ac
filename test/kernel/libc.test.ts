import t from 'tap'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { droppedMessages, mount, MOUNT, netlinkPort, setSocketOption, unmount } from '../../src/kernel/libc.js'

const { EBADF, EINVAL, ENOENT, ENOTSOCK } = constants.errno

t.test('a refusal of the system carries its errno and what was being done', async (t) => {
  t.throws(() => setSocketOption(99_999, 1, 8, 1), { code: 'kernel', errno: EBADF, operation: 'set socket option 1/8' })
  t.throws(() => droppedMessages(99_999), { code: 'kernel', errno: EBADF })
  t.throws(() => unmount('/run/nothing'), { code: 'kernel', errno: ENOENT, operation: 'unmount /run/nothing' })
  t.throws(() => mount('/run/nothing', '/run', null, MOUNT.BIND), { errno: ENOENT, code: 'kernel', message: /ENOENT/ })
  const fd = openSync('/dev/null', 'r')
  t.throws(() => setSocketOption(fd, 1, 8, 1), { code: 'kernel', errno: ENOTSOCK })
  closeSync(fd)
})

t.test('what is no netlink socket has no port', async (t) => {
  const fd = openSync('/dev/null', 'r')
  t.equal(netlinkPort(fd), undefined)
  closeSync(fd)
  t.equal(netlinkPort(99_999), undefined)
})

t.test('a bind mount shows one folder in the place of another until it is unmounted', async (t) => {
  mkdirSync('/run/from')
  mkdirSync('/run/to')
  writeFileSync('/run/from/file', 'x')
  mount('/run/from', '/run/to', null, MOUNT.BIND)
  t.equal(readFileSync('/run/to/file', 'utf8'), 'x')
  unmount('/run/to')
  t.equal(existsSync('/run/to/file'), false)
  t.throws(() => unmount('/run/to'), { code: 'kernel', errno: EINVAL })
})
