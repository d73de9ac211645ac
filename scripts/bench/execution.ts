import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { asError, NetloomError } from '../../src/base/errors.js'
import { type Place } from '../../src/cli/demo/place.js'

export interface Program {
  readonly executable: string
  readonly env: Readonly<Record<string, string>>
  /** File that it has as standard input. */
  readonly input: string
  /** Where it is started. */
  readonly place: Place
}

/** An execution that takes longer is a failure. */
const TIMEOUT_MS = 60_000

/** The part of an end that spawn and spawnSync share. */
interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * One execution of a program, timed from the call that starts it to the notice of its exit. All else is done before
 * and after. Standard input and output are files in memory: pipes would cost this process more than many a program
 * takes, and a program that does not read to the end could not be told from one that does.
 *
 * What is left is the cost of starting a process from Node, which forks itself; it is the same for every program, and
 * is measured with /bin/true as the floor.
 */
export class Execution {
  readonly #program: Program
  readonly #output: string
  readonly #files: readonly [input: number, output: number]
  #end: End | undefined
  #started = 0

  /** @param scratch an existing folder in memory */
  constructor(program: Program, scratch: string) {
    this.#program = program
    this.#output = join(scratch, `output-${Execution.#count++}`)
    this.#files = [openSync(program.input, 'r'), openSync(this.#output, 'wx')]
  }

  static #count = 0

  /** Runs it with this thread waiting, which is the least that Node can add. @returns milliseconds */
  runSync(): number {
    const { executable, env, place } = this.#program
    return place.run(() => {
      const started = performance.now()
      const { status, signal, error } = spawnSync(executable, { env, stdio: this.#stdio, timeout: TIMEOUT_MS })
      const ms = performance.now() - started
      if (error !== undefined) throw this.#failure(error.message)
      this.#end = { code: status, signal }
      return ms
    })
  }

  /** Runs it beside others. @returns milliseconds */
  async run(): Promise<number> {
    const { executable, env, place } = this.#program
    this.#started = performance.now()
    const child = place.run(() => spawn(executable, { env, stdio: this.#stdio, timeout: TIMEOUT_MS }))
    return this.#ended(child)
  }

  #ended(child: ChildProcess): Promise<number> {
    return new Promise((resolve, reject) => {
      child.on('error', (error) => reject(this.#failure(error.message)))
      child.on('exit', (code, signal) => {
        this.#end = { code, signal }
        resolve(performance.now() - this.#started)
      })
    })
  }

  get #stdio(): number[] {
    const [input, output] = this.#files
    return [input, output, output]
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
    const { code, signal } = this.#end ?? { code: null, signal: null }
    if (code === 0) return text
    throw this.#failure(`${signal === null ? `exit code ${code ?? 'none'}` : `signal ${signal}`}: ${text.trim()}`)
  }

  #failure(reason: string): NetloomError {
    const { executable, env } = this.#program
    const operation = `${executable} ${env['CNI_COMMAND'] ?? ''}`.trim()
    return new NetloomError('unavailable', `${operation}: ${reason}`, { operation })
  }
}

/** Ends executions whether they have succeeded or not; the first failure is thrown when all files are closed. */
export function finishAll(executions: readonly Execution[]): string[] {
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
