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
