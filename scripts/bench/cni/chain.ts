import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Place } from '../../../src/cli/demo/place.js'
import { asError } from '../../../src/base/errors.js'
import { type Children } from '../children.js'
import { Execution, type Runnable, type Taken } from '../execution.js'
import { type Call, environment, inputFor, type Plugin, type Pod } from './call.js'

/** One of those that are compared, on a node of its own: the tables of one are not searched for the other. */
export interface Contender {
  readonly name: string
  readonly plugins: readonly Plugin[]
  /** Folder of the plugins' executables. */
  readonly folder: string
  readonly place: Pick<Place, 'run'>
}

export interface Turn {
  readonly command: Call['command']
  readonly pod?: Pod | undefined
  /** What ADD has answered, for DEL. */
  readonly previous?: string | undefined
}

/**
 * One call of a list of plugins as a runtime makes it: for ADD one after the other, each with what the one before it has
 * answered; for DEL in the opposite order, each with what the last has answered.
 */
export class ChainCall implements Runnable {
  readonly #contender: Contender
  readonly #turn: Turn
  readonly #scratch: string
  readonly #left: Plugin[]
  /** Given to the next plugin. */
  #previous: string | undefined
  #output = ''
  #current: Execution
  #ended = false
  #problem: Error | undefined

  /** Prepares all that needs not be timed. @param scratch an existing folder in memory */
  constructor(contender: Contender, turn: Turn, scratch: string) {
    this.#contender = contender
    this.#turn = turn
    this.#scratch = scratch
    this.#previous = turn.previous
    this.#left = turn.command === 'DEL' ? [...contender.plugins].reverse() : [...contender.plugins]
    this.#current = this.#next() as Execution
  }

  static #count = 0

  #next(): Execution | undefined {
    const plugin = this.#left.shift()
    if (plugin === undefined) return undefined
    const { folder, place } = this.#contender
    const { command, pod } = this.#turn
    const executable = join(folder, plugin.type)
    const input = join(this.#scratch, `input-${ChainCall.#count++}`)
    writeFileSync(input, inputFor(plugin, { command, pod, previous: this.#previous }))
    const execution = new Execution(
      { executable, env: environment({ command, executable, pod }), input, place },
      this.#scratch,
    )
    rmSync(input) // it is open
    return execution
  }

  /** Runs it, once: from the start of the first plugin to the end of the last, with what a runtime does in between. */
  async run(children: Children): Promise<Taken> {
    const started = performance.now()
    const taken = { ms: 0, cpuMs: 0 }
    for (let next: Execution | undefined = this.#current; next !== undefined; next = this.#step()) {
      this.#current = next
      taken.cpuMs += (await next.run(children)).cpuMs
      taken.ms = performance.now() - started
    }
    this.#ended = true
    return taken
  }

  /** Takes the answer of the plugin that has run, and prepares the one behind it. */
  #step(): Execution | undefined {
    try {
      this.#output = this.#current.finish()
      if (this.#turn.command === 'ADD') this.#previous = this.#output
      return this.#next()
    } catch (error) {
      this.#problem = asError(error)
      return undefined
    }
  }

  /**
   * @returns what the last plugin has printed
   * @throws NetloomError of the plugin that has failed; where it has not been run
   */
  finish(): string {
    if (!this.#ended) return this.#current.finish()
    if (this.#problem !== undefined) throw this.#problem
    return this.#output
  }
}
