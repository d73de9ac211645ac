import { constants } from 'node:os'
import { type NetloomError } from '../../src/base/errors.js'
import { kernelError } from '../../src/codec/error.js'
import { Applier } from '../../src/kernel/apply.js'
import { type Outcome, Talk } from '../../src/kernel/talk.js'
import { type TestContext } from './node.js'

/** Lets the kernel refuse what it is asked for, whoever in this process asks. */

/** Which questions are refused, counted from 1 on. */
export interface Strike {
  readonly from: number
  /** That one alone, or all from there on. */
  readonly once: boolean
  /** Instead of a refusal: something happens, and the question is asked all the same. */
  readonly instead?: (() => void) | undefined
}

/** A question is a request of netlink, a dump, a transaction (nothing of which is done), or a sysctl. */
export class Faults {
  #strike: Strike | undefined
  #asked = 0
  /** What was refused since {@link arm}. */
  #refused: string[] = []

  constructor(t: TestContext) {
    const pipeline = replaced(t, Talk.prototype, 'pipeline')
    const dump = replaced(t, Talk.prototype, 'dump')
    const transaction = replaced(t, Talk.prototype, 'transaction')
    const apply = replaced(t, Applier.prototype, 'apply')
    // Named before the prototypes' functions, in which `this` is somebody else.
    const refuse = (operation: string): NetloomError | undefined => this.#refuse(operation)
    Talk.prototype.pipeline = async function (requests) {
      const errors = requests.map(({ operation }) => refuse(operation))
      const rest = await pipeline.call(
        this,
        requests.filter((_, i) => errors[i] === undefined),
      )
      return errors.map((error): Outcome => (error === undefined ? rest.shift()! : { messages: [], error }))
    }
    Talk.prototype.dump = async function (request) {
      const error = refuse(request.operation)
      if (error !== undefined) throw error
      return dump.call(this, request)
    }
    Talk.prototype.transaction = async function (begin, requests, end) {
      const [first] = requests
      const error = first && refuse(`transaction: ${first.operation}`)
      if (first === undefined || error === undefined) return transaction.call(this, begin, requests, end)
      return { refusals: [{ request: first, error }], messages: [] }
    }
    Applier.prototype.apply = async function (ops, known) {
      for (const [i, op] of ops.entries()) {
        const error = op.kind === 'sysctl.set' ? refuse(`set ${op.path}`) : undefined
        if (error === undefined) continue
        await apply.call(this, ops.slice(0, i), known)
        throw error
      }
      return apply.call(this, ops, known)
    }
  }

  arm(strike: Strike): void {
    this.#strike = strike
    this.#asked = 0
    this.#refused = []
  }

  /** Ends it; answers what was refused. */
  disarm(): readonly string[] {
    this.#strike = undefined
    return this.#refused
  }

  #refuse(operation: string): NetloomError | undefined {
    if (this.#strike === undefined) return undefined
    const { from, once, instead } = this.#strike
    this.#asked++
    if (this.#asked < from || (once && this.#asked > from)) return undefined
    this.#refused.push(operation)
    if (instead === undefined) return kernelError(operation, NO_MEMORY)
    instead()
    return undefined
  }
}

/** A method that is about to be another one until the test is over. */
export function replaced<T extends object, K extends keyof T>(t: TestContext, prototype: T, name: K): T[K] {
  const own = Object.getOwnPropertyDescriptor(prototype, name) ?? {}
  t.teardown(() => Object.defineProperty(prototype, name, own))
  return own.value as T[K]
}

const NO_MEMORY = { errno: constants.errno.ENOMEM }
