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
  flock: libc.func('int flock(int fd, int operation)'),
  wait4: libc.func('int wait4(int pid, _Out_ int *status, int options, _Out_ uint8_t *usage)'),
}

/** Calls a function that answers -1 on failure, and throws what errno says. */
function call(name: keyof typeof functions, operation: string, ...args: unknown[]): number {
  const result = (functions[name] as (...args: unknown[]) => number)(...args)
  if (result !== -1) return result
  throw refusal(operation, koffi.errno())
}

const refusal = (operation: string, errno: number): NetloomError =>
  new NetloomError('kernel', `${operation}: ${getSystemErrorName(-errno)}`, { operation, errno })

/** CLONE_NEWNET of <linux/sched.h>. */
const CLONE_NEWNET = 0x40000000

/** Mount flags of <linux/mount.h>. */
export const MOUNT = {
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  BIND: 4096,
  REC: 16384,
  PRIVATE: 1 << 18,
  SHARED: 1 << 20,
} as const

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

/** LOCK_EX and LOCK_NB of <sys/file.h>. */
const LOCK_EXCLUSIVE_NOW = 2 | 4

/**
 * Locks an open file for its descriptor alone, until that is closed or the process ends, however it ends.
 * @throws NetloomError `kernel`, `errno` EAGAIN where somebody else has it
 */
export const lockFile = (fd: number): void => {
  call('flock', 'lock file', fd, LOCK_EXCLUSIVE_NOW)
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

const send = libc.func('long send(int fd, const uint8_t *bytes, size_t length, int flags)')

const recv = libc.func('long recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)')
const MSG_TRUNC_DONTWAIT = 0x20 | 0x40
/** Netlink makes no answer larger than this: NLMSG_GOODSIZE is at most 8 KiB, and dumps fill 32 KiB. */
const RECEIVED = Buffer.alloc(64 * 1024)

/** A datagram that is waiting; undefined where none is, or `truncated` for one that was larger and is lost. */
export function receiveNow(fd: number): Buffer | 'truncated' | undefined {
  const length = (recv as (...args: unknown[]) => number)(fd, RECEIVED, RECEIVED.length, MSG_TRUNC_DONTWAIT)
  if (length <= 0) return undefined
  return length <= RECEIVED.length ? Buffer.from(RECEIVED.subarray(0, length)) : 'truncated'
}

/**
 * Sends a datagram on a thread of the pool, for a request that keeps the kernel busy for long: netlink handles it while
 * the sender waits. Calls back with the errno, 0 for success.
 */
export function sendInThread(fd: number, datagram: Buffer, done: (errno: number) => void): void {
  send.async(fd, datagram, datagram.length, 0, (error: unknown, sent: number) => {
    // errno belongs to the pool's thread and is lost here; a datagram is sent whole or not at all.
    done(error === null && sent === datagram.length ? 0 : EIO)
  })
}

const EIO = 5

/** The port of a bound netlink socket (struct sockaddr_nl), or undefined where `fd` is no such socket. */
export function netlinkPort(fd: number): number | undefined {
  const AF_NETLINK = 16
  const address = Buffer.alloc(16)
  const length = [address.length]
  if ((functions.getsockname as (...args: unknown[]) => number)(fd, address, length) === -1) return undefined
  return address.readUInt16LE(0) === AF_NETLINK ? address.readUInt32LE(4) : undefined
}

const spawnFunctions = {
  initActions: libc.func('int posix_spawn_file_actions_init(void *actions)'),
  addDup2: libc.func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int as)'),
  destroyActions: libc.func('int posix_spawn_file_actions_destroy(void *actions)'),
  initAttributes: libc.func('int posix_spawnattr_init(void *attributes)'),
  setFlags: libc.func('int posix_spawnattr_setflags(void *attributes, short flags)'),
  setDefaultSignals: libc.func('int posix_spawnattr_setsigdefault(void *attributes, const void *signals)'),
  setSignalMask: libc.func('int posix_spawnattr_setsigmask(void *attributes, const void *signals)'),
  spawn: libc.func(
    'int posix_spawn(_Out_ int *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **envp)',
  ),
}

/** Calls one of those functions that answer an error number themselves, and 0 on success. */
function callForError(name: keyof typeof spawnFunctions, operation: string, ...args: unknown[]): void {
  const errno = (spawnFunctions[name] as (...args: unknown[]) => number)(...args)
  if (errno !== 0) throw refusal(operation, errno)
}

/** posix_spawn_file_actions_t and posix_spawnattr_t have 80 and 336 bytes in glibc and musl, sigset_t has 128. */
const SIZE = { ACTIONS: 128, ATTRIBUTES: 512, SIGNALS: 128 }

/** Flags of <spawn.h>. */
const SPAWN = { SETPGROUP: 2, SETSIGDEF: 4, SETSIGMASK: 8 }

/** A process group of its own, and no signal blocked or ignored: Node ignores SIGPIPE, and exec would keep that. */
function makeSpawnAttributes(): Buffer {
  const operation = 'prepare the start of a process'
  const attributes = Buffer.alloc(SIZE.ATTRIBUTES)
  callForError('initAttributes', operation, attributes)
  callForError('setFlags', operation, attributes, SPAWN.SETPGROUP | SPAWN.SETSIGDEF | SPAWN.SETSIGMASK)
  callForError('setDefaultSignals', operation, attributes, Buffer.alloc(SIZE.SIGNALS, 0xff))
  callForError('setSignalMask', operation, attributes, Buffer.alloc(SIZE.SIGNALS))
  return attributes
}

let spawnAttributes: Buffer | undefined

export interface ProcessStart {
  /** Path; PATH is not searched. */
  readonly executable: string
  /** Behind the name of the executable. */
  readonly args?: readonly string[]
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** Open descriptors that it has as 0, 1 and 2. Node's own others close by themselves. */
  readonly stdio: readonly [input: number, output: number, error: number]
}

/**
 * Starts a process in the namespaces of the calling thread, as leader of a process group of its own. Unlike Node's
 * child_process it copies nothing of this process (posix_spawn is clone with CLONE_VM and CLONE_VFORK), and is back
 * as soon as the executable has replaced it. Whoever starts one has to {@link reapProcess} it.
 * @returns the process's ID
 * @throws NetloomError `kernel`, `errno` ENOENT or EACCES where it cannot be executed
 */
export function startProcess({ executable, args = [], env, stdio }: ProcessStart): number {
  const operation = `start ${executable}`
  spawnAttributes ??= makeSpawnAttributes()
  const actions = Buffer.alloc(SIZE.ACTIONS)
  callForError('initActions', operation, actions)
  try {
    stdio.forEach((fd, as) => callForError('addDup2', operation, actions, fd, as))
    const pid = [0]
    const argv = [executable, ...args, null]
    const envp = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), null]
    callForError('spawn', operation, pid, executable, actions, spawnAttributes, argv, envp)
    return pid[0] ?? 0
  } finally {
    callForError('destroyActions', operation, actions)
  }
}

/** The end of a process. */
export interface ProcessEnd {
  /** Exit code, or null where a signal ended it. */
  readonly code: number | null
  /** Number of that signal. */
  readonly signal: number | null
  /** Milliseconds of CPU time, user and system, of the process and of those children that it has waited for. */
  readonly cpuMs: number
}

/** struct rusage of <sys/resource.h>: two times, and 14 numbers. */
const TIMEVAL = koffi.struct({ seconds: 'long', microseconds: 'long' })
const USAGE = Buffer.alloc(2 * koffi.sizeof(TIMEVAL) + 14 * koffi.sizeof('long'))

const WNOHANG = 1

/**
 * Takes a child's end from the kernel, if it has ended; this does not wait. Until then the kernel gives its ID to no
 * other process, so it is safe to send signals to.
 *
 * The usage's peak of memory (ru_maxrss) is left out on purpose: it starts with that of the process that started the
 * child (110 MB for /bin/true, measured).
 * @returns undefined while it runs
 * @throws NetloomError `kernel`, `errno` ECHILD where there is no such child
 */
export function reapProcess(pid: number): ProcessEnd | undefined {
  const status = [0]
  if (call('wait4', `wait for process ${pid}`, pid, status, WNOHANG, USAGE) === 0) return undefined
  const [word = 0] = status
  const signal = word & 0x7f
  const cpuMs = milliseconds(0) + milliseconds(koffi.sizeof(TIMEVAL))
  return signal === 0 ? { code: (word >> 8) & 0xff, signal: null, cpuMs } : { code: null, signal, cpuMs }
}

function milliseconds(offset: number): number {
  const { seconds, microseconds } = koffi.decode(USAGE, offset, TIMEVAL) as { seconds: number; microseconds: number }
  return seconds * 1000 + microseconds / 1000
}
