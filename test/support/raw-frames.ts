import { closeSync } from 'node:fs'
import koffi from 'koffi'
import { inNamespace } from '../../src/kernel/netns.js'

/** Frames as a program with CAP_NET_RAW in a container can send them: every byte its own (packet(7)). */

const libc = koffi.load(null)
const socket = libc.func('int socket(int domain, int type, int protocol)')
const sendto = libc.func(
  'long sendto(int fd, const uint8_t *bytes, size_t length, int flags, const uint8_t *address, unsigned int size)',
)
const if_nametoindex = libc.func('unsigned int if_nametoindex(const char *name)')

const [AF_PACKET, SOCK_RAW, SOCKADDR_LL_BYTES] = [17, 3, 20]

const checked = (result: unknown, failed: number, what: string): number => {
  if (typeof result !== 'number' || result === failed) throw new Error(`${what}: errno ${koffi.errno()}`)
  return result
}

/** Sends frames by a link of a namespace. */
export class FrameSender {
  readonly #fd: number
  readonly #address = Buffer.alloc(SOCKADDR_LL_BYTES)

  constructor(namespace: string, link: string) {
    this.#fd = inNamespace(namespace, () => {
      this.#address.writeUInt16LE(AF_PACKET, 0)
      this.#address.writeInt32LE(checked(if_nametoindex(link), 0, `find link ${link}`), 4)
      return checked(socket(AF_PACKET, SOCK_RAW, 0), -1, 'open packet socket')
    })
  }

  send(frame: Uint8Array): void {
    checked(sendto(this.#fd, frame, frame.length, 0, this.#address, this.#address.length), -1, 'send frame')
  }

  close(): void {
    closeSync(this.#fd)
  }
}

const recvfrom = libc.func(
  'long recvfrom(int fd, _Out_ uint8_t *bytes, size_t length, int flags, _Out_ uint8_t *address, _Inout_ unsigned int *size)',
)
const if_indextoname = libc.func('const char *if_indextoname(unsigned int index, _Out_ uint8_t *name)')

const [ETH_P_ALL, MSG_DONTWAIT, EAGAIN] = [0x0003, 0x40, 11]
/** sll_pkttype of packet(7): what this machine sent itself. */
const PACKET_OUTGOING = 4
const FRAME_BYTES = 2048

export interface CapturedFrame {
  /** The link that it came in by; undefined where that is gone. */
  readonly link: string | undefined
  readonly bytes: Buffer
}

/** Collects frames that come in by any link of the namespace of the test, also by links that are made later. */
export class FrameCapture {
  readonly #fd = checked(socket(AF_PACKET, SOCK_RAW, ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8)), -1, 'open socket')

  /** Those since the last call. */
  take(): CapturedFrame[] {
    const frames: CapturedFrame[] = []
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(...frame)
    return frames
  }

  /** None, where it is one that was sent from here; undefined where there are no more. */
  #next(): CapturedFrame[] | undefined {
    const bytes = Buffer.alloc(FRAME_BYTES)
    const address = Buffer.alloc(SOCKADDR_LL_BYTES)
    const length: unknown = recvfrom(this.#fd, bytes, bytes.length, MSG_DONTWAIT, address, [address.length])
    if (length === -1 && koffi.errno() === EAGAIN) return undefined
    const frame = bytes.subarray(0, checked(length, -1, 'receive frame'))
    if (address[10] === PACKET_OUTGOING) return []
    const name: unknown = if_indextoname(address.readInt32LE(4), Buffer.alloc(16))
    return [{ link: typeof name === 'string' ? name : undefined, bytes: frame }]
  }

  close(): void {
    closeSync(this.#fd)
  }
}
