import { type Logger } from '../base/log.js'
import { type Flaw } from './manifest.js'
import { type Problem } from './source.js'

/** What is wrong at the moment, by where it comes from; logged when it comes and when it goes. */
export class Problems {
  readonly #byOrigin = new Map<string, readonly Problem[]>()
  readonly #log: Logger
  readonly #now: () => number

  constructor(log: Logger, now: () => number = Date.now) {
    this.#log = log
    this.#now = now
  }

  /** In the order of files and lines. */
  list(): readonly Problem[] {
    return [...this.#byOrigin.values()].flat().sort(inOrder)
  }

  /** Replaces all that is known of an origin; what was wrong before keeps its time. */
  set(origin: string, file: string, flaws: readonly Flaw[]): void {
    const before = this.#byOrigin.get(origin) ?? []
    if (before.length === 0 && flaws.length === 0) return
    const after = flaws.map((flaw) => {
      const problem = this.#problem(file, flaw)
      return before.find((known) => same(known, problem)) ?? problem
    })
    if (after.length === 0) this.#byOrigin.delete(origin)
    else this.#byOrigin.set(origin, after)
    for (const problem of after) if (!before.includes(problem)) this.#log.warn(problem, text(problem))
    for (const gone of before) if (!after.includes(gone)) this.#log.info({ file: gone.file }, `solved: ${text(gone)}`)
  }

  #problem(file: string, { message, line, column, field }: Flaw): Problem {
    return { file, line, column, field, message, since: this.#now() }
  }
}

/** Text for people: `shop/web.yaml:12:9: spec.ports[0].port: 0 is not within 1 to 65535`. */
export const text = ({ file, line, column, message }: Problem): string =>
  `${[file, line, column].filter((part) => part !== undefined).join(':')}: ${message}`

const same = (a: Problem, b: Problem): boolean => a.file === b.file && text(a) === text(b) && a.field === b.field

const inOrder = (a: Problem, b: Problem): number =>
  a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) : a.file < b.file ? -1 : 1
