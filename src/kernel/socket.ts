import { closeSync, openSync, readdirSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { RawNetlinkSocket } from 'netlink/dist/raw.js'
import { droppedMessages, netlinkPort, receiveNow, sendInThread, setSocketOption } from './libc.js'
import { asNetloomError, NetloomError } from '../base/errors.js'

/**
 * A raw netlink socket: the only import of the netlink package, of which nothing but the socket is used. Its codecs
 * lose unknown attributes and the NESTED flag, and its errors carry no errno.
 */

/** Netlink protocols of <linux/netlink.h>. */
export const PROTOCOL = { ROUTE: 0, NETFILTER: 12 } as const

/** What a conversation with the kernel needs of a socket; tests put a scripted one here. */
export interface Transport {
  /**
   * Sends one datagram. The buffer is the socket's from here on. `failed` is told when it could not be sent, and
   * nothing of it was: EMSGSIZE says that it is larger than the socket's buffer.
   */
  send(datagram: Buffer, failed: (error: NetloomError) => void): void
  /** Nothing is told to the handlers from here on. */
  close(): void
}

export interface TransportHandlers {
  datagram(bytes: Buffer): void
  /** A receive that failed; `errno` ENOBUFS says that replies or notifications were lost. */
  failed(error: NetloomError): void
}

export type OpenTransport = (handlers: TransportHandlers) => Transport

export interface SocketOptions {
  protocol: (typeof PROTOCOL)[keyof typeof PROTOCOL]
  /** Multicast groups to join (RTNLGRP_*, NFNLGRP_*). */
  groups?: readonly number[]
  /** Bytes the kernel may queue in each direction, 1 MiB unless given, 0 for the system's default; bounded by net.core.wmem_max and rmem_max. */
  bufferBytes?: number
  /** Send on a thread of the pool: for requests during which the kernel holds the sender for milliseconds. */
  inThread?: boolean
  /** Keep the process alive while the socket is open. Default true. */
  keepAlive?: boolean
}

/** Enough for the answers of what a Talk has in flight; see WINDOW there. */
const DEFAULT_BUFFER_BYTES = 1 << 20

const SOL_SOCKET = 1
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_NO_ENOBUFS = 5
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12

/** Opens a socket in the calling thread's network namespace, where it stays. */
export function openSocket(options: SocketOptions): OpenTransport {
  return (handlers) => {
    const { socket, fd } = createSocket(options)
    configureOrClose(socket, fd, options)
    let open = true
    let drops = 0
    let sending: Promise<void> = Promise.resolve()
    if (!isMainThread) openInWorker.add(socket)
    const guarded = (work: () => void): void => {
      if (open) outsideOfNative(work)
    }
    const checkDrops = (): void => {
      const dropped = droppedMessages(fd)
      if (dropped !== drops) handlers.failed(overrun(dropped - drops))
      drops = dropped
    }
    const take = (): void => {
      // First, since an answer that was lost would pass for one that did not come before a later one.
      checkDrops()
      for (let count = 0; open && count < TAKEN_AT_ONCE; count++) {
        const bytes = receiveNow(fd)
        if (bytes === undefined) break
        if (bytes === 'truncated') handlers.failed(truncated())
        else handlers.datagram(bytes)
      }
    }
    socket.on('message', (bytes) =>
      guarded(() => {
        checkDrops()
        handlers.datagram(bytes)
      }),
    )
    socket.on('truncatedMessage', () => guarded(() => handlers.failed(truncated())))
    socket.on('error', (error) => guarded(() => handlers.failed(asNetloomError(error, 'receive'))))
    return {
      send: (datagram, failed) => {
        const refused = (error: NetloomError): void => guarded(() => failed(error))
        if (options.inThread === true) {
          // One after the other: the threads of the pool keep no order.
          sending = sending.then(() => (open ? sendElsewhere(fd, datagram, refused) : undefined))
        } else {
          sendOn(socket, datagram, refused)
          guarded(take)
        }
      },
      close: () => {
        open = false
        // Not at once: we may be called by the package's own handler, which goes on to use what closing frees. And not
        // while a thread sends: by then the descriptor could be another file's.
        void sending.then(() => setImmediate(release, socket))
      },
    }
  }
}

/**
 * Sockets of a worker thread that are open. A thread that ends with one takes the process with it, because the package
 * cleans up too late; so they are closed before. A thread that is terminated from outside is not asked: its sockets
 * have to be closed first.
 */
const openInWorker = new Set<RawNetlinkSocket>()
if (!isMainThread)
  process.once('exit', () => {
    for (const socket of openInWorker) socket.close()
  })

function release(socket: RawNetlinkSocket): void {
  openInWorker.delete(socket)
  socket.close()
}

/** An exception that reaches the package's native code ends the process without a trace of where it came from. */
function outsideOfNative(work: () => void): void {
  try {
    work()
  } catch (error) {
    setImmediate(() => {
      throw error
    })
  }
}

/**
 * Datagrams that are read right behind a request. The kernel has answered when the request has been sent, and waiting
 * for the event loop to say so takes longer than a change does. What is more (a large dump) comes by the event loop.
 */
const TAKEN_AT_ONCE = 64

const truncated = (): NetloomError => new NetloomError('kernel', 'netlink datagram truncated', { operation: 'receive' })

const ENOBUFS = 105

/**
 * NETLINK_NO_ENOBUFS is set on every socket, since the package ends the process where a socket has an error (its poll
 * handler makes a string of a null pointer); what the error would have said, the count of drops says as well. A queue
 * that overran holds messages that are still to be read, so the count is looked at after each overrun.
 */
const overrun = (count: number): NetloomError =>
  new NetloomError('kernel', `the kernel dropped ${count} messages, because the socket's queue was full`, {
    operation: 'receive',
    errno: ENOBUFS,
  })

function sendOn(socket: RawNetlinkSocket, datagram: Buffer, failed: (error: NetloomError) => void): void {
  const refused = (error: unknown): void => {
    const { message, errno } = asNetloomError(error)
    const text = `send ${datagram.length} bytes: ${message}`
    failed(new NetloomError('io', text, { operation: 'send', errno, cause: error }))
  }
  try {
    socket.send(datagram, undefined, (error) => {
      if (error !== undefined) refused(error)
    })
  } catch (error) {
    refused(error)
  }
}

const sendElsewhere = (fd: number, datagram: Buffer, failed: (error: NetloomError) => void): Promise<void> =>
  new Promise((resolve) => {
    sendInThread(fd, datagram, (errno) => {
      resolve()
      if (errno !== 0)
        failed(new NetloomError('io', `send ${datagram.length} bytes: refused`, { operation: 'send', errno }))
    })
  })

/**
 * The package does not tell the descriptor of its socket, which setsockopt needs. The kernel hands out the lowest
 * free one, so it is the one that a file opened and closed just before had; the port proves it, and a search through
 * all descriptors serves where another thread was quicker.
 */
function createSocket(options: SocketOptions): { socket: RawNetlinkSocket; fd: number } {
  const expected = openSync('/dev/null', 'r')
  closeSync(expected)
  const buffer = options.bufferBytes ?? DEFAULT_BUFFER_BYTES
  const socket = new RawNetlinkSocket(options.protocol, { sendBufferSize: buffer, recvBufferSize: buffer })
  const { port } = socket.address()
  if (netlinkPort(expected) === port) return { socket, fd: expected }
  const fd = readdirSync('/proc/self/fd')
    .map(Number)
    .find((candidate) => netlinkPort(candidate) === port)
  if (fd !== undefined) return { socket, fd }
  socket.close()
  throw new NetloomError('internal', 'the descriptor of a new netlink socket was not found')
}

/** A socket that stayed open would keep the process, which is to end with the error. */
function configureOrClose(socket: RawNetlinkSocket, fd: number, options: SocketOptions): void {
  try {
    configure(socket, fd, options)
  } catch (error) {
    socket.close()
    throw asNetloomError(error, 'open a netlink socket')
  }
}

function configure(socket: RawNetlinkSocket, fd: number, options: SocketOptions): void {
  setSocketOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
  setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1)
  setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1)
  if (options.protocol === PROTOCOL.ROUTE) setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
  if (options.bufferBytes !== 0) forceBuffers(fd, options.bufferBytes ?? DEFAULT_BUFFER_BYTES)
  for (const group of options.groups ?? []) socket.addMembership(group)
  if (options.keepAlive === false) socket.unref()
}

/** Root of the machine may exceed the system's limits; elsewhere what the limits gave stays. */
function forceBuffers(fd: number, bytes: number): void {
  for (const option of [SO_SNDBUFFORCE, SO_RCVBUFFORCE]) {
    try {
      setSocketOption(fd, SOL_SOCKET, option, bytes)
    } catch (error) {
      if (!(error instanceof NetloomError) || error.errno !== 1 /* EPERM */) throw error
    }
  }
}
