import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { asNetloomError } from '../base/errors.js'
import { type Cidr, formatCidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { NODE_MEMORY } from '../base/names.js'
import { Cursor } from '../model/cursor.js'
import { type Node, readNode } from '../model/node.js'
import { placeFile } from './place-file.js'

/**
 * What the last agent of this node knew of the node itself. With it an agent that starts while the source of truth is
 * away attaches pods as before, and knows which subnets its running pods are of.
 */
export class NodeMemory {
  readonly #path: string
  readonly #name: string
  readonly #log: Logger
  #node: Node | undefined
  #text: string

  /** @param directory an existing folder */
  constructor(directory: string, name: string, log: Logger) {
    this.#path = join(directory, NODE_MEMORY)
    this.#name = name
    this.#log = log
    this.#text = this.#read()
    this.#node = this.#parse()
  }

  /** The node as it was, with the subnets that it worked with; undefined where nobody knows. */
  get node(): Node | undefined {
    return this.#node
  }

  /** Remembers. A disk that is full costs no more than the memory. */
  keep(subnets: readonly Cidr[], node: Node): void {
    const text = `${JSON.stringify(objectOf(subnets, node))}\n`
    if (text === this.#text) return
    try {
      placeFile({ path: this.#path, bytes: Buffer.from(text), mode: 0o600 })
      this.#text = text
      this.#node = this.#parse()
    } catch (error) {
      this.#log.warn({ err: error, path: this.#path }, 'the subnets of this node could not be remembered')
    }
  }

  #read(): string {
    try {
      return readFileSync(this.#path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn({ err: error, path: this.#path }, 'the subnets of this node are not remembered')
      return ''
    }
  }

  #parse(): Node | undefined {
    if (this.#text === '') return undefined
    try {
      const node = readNode(new Cursor(JSON.parse(this.#text)))
      return node.name === this.#name && node.podCIDRs.length > 0 ? node : undefined
    } catch (error) {
      this.#log.warn({ err: asNetloomError(error), path: this.#path }, 'the subnets of this node are not remembered')
      return undefined
    }
  }
}

/** As much of a core/v1 Node as is wanted again, in its own form. */
const objectOf = (subnets: readonly Cidr[], { name, internalIPs }: Node): object => ({
  metadata: { name },
  spec: { podCIDRs: subnets.map(formatCidr) },
  status: { addresses: internalIPs.map(({ address }) => ({ type: 'InternalIP', address })) },
})
