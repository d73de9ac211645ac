import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { asError, NetloomError } from '../../src/base/errors.js'
import { type Place } from '../../src/cli/demo/place.js'
import { type ProcessEnd } from '../../src/kernel/libc.js'
import { type Children, signalName } from './children.js'

export interface Program {
  readonly executable: string
  readonly env: Readonly<Record<string, string>>
  /** File that it has as standard input. */
  readonly input: string
  /** Where it is started. */
  readonly place: Pick<Place, 'run'>
}

/** What an execution has taken, in milliseconds. */
export interface Taken {
  /** From the call that starts it to the notice of its exit. */
  readonly ms: number
  /** CPU time of all its processes. */
  readonly cpuMs: number
}

/**
 * One execution of a program. All that needs not be timed is done before and after. Standard input and output are files
 * in memory: pipes would cost this process more than many a program takes, and a program that does not read to the end
 * could not be told from one that does.
 *
 * What is left is the cost of starting a process; it is the same for every program, and is measured with /bin/true as
 * the floor.
 */
export class Execution implements Runnable {
  readonly #program: Program
  readonly #output: string
  readonly #files: readonly [input: number, output: number]
  #end: ProcessEnd | Error | undefined

  /** @param scratch an existing folder in memory */
  constructor(program: Program, scratch: string) {
    this.#program = program
    this.#output = join(scratch, `output-${Execution.#count++}`)
    this.#files = [openSync(program.input, 'r'), openSync(this.#output, 'wx')]
  }

  static #count = 0

  /** Runs it, once. Whether it has failed, even to start, is told by {@link finish}. */
  async run(children: Children): Promise<Taken> {
    const { executable, env, place } = this.#program
    const [input, output] = this.#files
    let started = 0
    try {
      const end = await place.run(() => {
        started = performance.now()
        // As an object, because a promise may not leave another namespace; only its start has to be there.
        return { ended: children.start({ executable, env, stdio: [input, output, output] }) }
      }).ended
      const ms = performance.now() - started
      this.#end = end
      return { ms, cpuMs: end.cpuMs }
    } catch (error) {
      this.#end = asError(error)
      return { ms: 0, cpuMs: 0 }
    }
  }

  /**
   * Closes its files.
   * @returns what it has printed
   * @throws NetloomError where it has failed, or has not been run
   */
  finish(): string {
    for (const file of this.#files) closeSync(file)
    const text = readFileSync(this.#output, 'utf8')
    rmSync(this.#output)
    const problem = problemOf(this.#end)
    if (problem === undefined) return text
    const { executable, env } = this.#program
    const operation = `${executable} ${env['CNI_COMMAND'] ?? ''}`.trim()
    throw new NetloomError('unavailable', `${operation}: ${problem}: ${text.trim()}`.replace(/: $/, ''), { operation })
  }
}

function problemOf(end: ProcessEnd | Error | undefined): string | undefined {
  if (end === undefined) return 'was not run'
  if (end instanceof Error) return end.message
  if (end.signal !== null) return `signal ${signalName(end.signal)}`
  return end.code === 0 ? undefined : `exit code ${end.code ?? 'none'}`
}

/** Something that is run once, and has to be finished whether it was or not. */
export interface Runnable {
  readonly run: (children: Children) => Promise<Taken>
  readonly finish: () => string
}

/** Ends executions whether they have succeeded or not; the first failure is thrown when all files are closed. */
export function finishAll(executions: readonly Runnable[]): string[] {
  const failures: Error[] = []
  const texts = executions.map((execution) => {
    try {
      return execution.finish()
    } catch (error) {
      failures.push(asError(error))
      return ''
    }
  })
  const [first] = failures
  if (first !== undefined) throw first
  return texts
}
