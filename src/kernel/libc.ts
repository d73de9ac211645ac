import { getSystemErrorName } from 'node:util'
import koffi from 'koffi'
import { NetloomError } from '../base/errors.js'

/** The few system calls that Node has no function for, through FFI. The only import of koffi. */

const libc = koffi.load(null)

const functions = {
  setns: libc.func('int setns(int fd, int nstype)'),
  unshare: libc.func('int unshare(int flags)'),
  mount: libc.func(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  ),
  umount2: libc.func('int umount2(const char *target, int flags)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const int *value, unsigned int length)'),
  getsockopt: libc.func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, const unsigned int *length)',
  ),
  getsockname: libc.func('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ unsigned int *length)'),
}

/** Calls a function that answers -1 on failure, and throws what errno says. */
function call(name: keyof typeof functions, operation: string, ...args: unknown[]): number {
  const result = (functions[name] as (...args: unknown[]) => number)(...args)
  if (result !== -1) return result
  const errno = koffi.errno()
  const symbol = getSystemErrorName(-errno)
  throw new NetloomError('kernel', `${operation}: ${symbol}`, { operation, errno })
}

/** CLONE_NEWNET of <linux/sched.h>. */
const CLONE_NEWNET = 0x40000000

/** Mount flags of <linux/mount.h>. */
export const MOUNT = { NOSUID: 2, NODEV: 4, NOEXEC: 8, BIND: 4096, REC: 16384, PRIVATE: 1 << 18 } as const

/** Puts the calling thread into the network namespace of an open descriptor. */
export const setNetworkNamespace = (fd: number): void => {
  call('setns', 'enter network namespace', fd, CLONE_NEWNET)
}

/** Puts the calling thread into a new network namespace. */
export const unshareNetwork = (): void => {
  call('unshare', 'create network namespace', CLONE_NEWNET)
}

export const mount = (source: string, target: string, type: string | null, flags: number): void => {
  call('mount', `mount ${source} on ${target}`, source, target, type, flags, null)
}

/** Takes a mount away at once, though something may still use it (MNT_DETACH). */
export const unmount = (target: string): void => {
  call('umount2', `unmount ${target}`, target, 2)
}

/** An integer socket option. */
export const setSocketOption = (fd: number, level: number, name: number, value: number): void => {
  call('setsockopt', `set socket option ${level}/${name}`, fd, level, name, [value], 4)
}

const SOL_SOCKET = 1
/** SO_MEMINFO of <asm-generic/socket.h>, since Linux 4.12: nine u32, SK_MEMINFO_DROPS of <linux/sock_diag.h> the last. */
const SO_MEMINFO = 55
const MEMINFO = Buffer.alloc(36)
const MEMINFO_LENGTH = [MEMINFO.length]
const MEMINFO_DROPS = 32

/** How many messages the kernel has dropped because the socket's queue was full; counts from the socket's start. */
export function droppedMessages(fd: number): number {
  call('getsockopt', 'read socket memory', fd, SOL_SOCKET, SO_MEMINFO, MEMINFO, MEMINFO_LENGTH)
  return MEMINFO.readUInt32LE(MEMINFO_DROPS)
}

/** The port of a bound netlink socket (struct sockaddr_nl), or undefined where `fd` is no such socket. */
export function netlinkPort(fd: number): number | undefined {
  const AF_NETLINK = 16
  const address = Buffer.alloc(16)
  const length = [address.length]
  if ((functions.getsockname as (...args: unknown[]) => number)(fd, address, length) === -1) return undefined
  return address.readUInt16LE(0) === AF_NETLINK ? address.readUInt32LE(4) : undefined
}
