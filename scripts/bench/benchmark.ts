import { type ParseArgsConfig } from 'node:util'
import { type Progress } from '../../src/cli/demo/progress.js'
import { type ExitCode, type OptionValues } from '../../src/cli/command.js'
import { type Measured } from './figure.js'

/** One row of `npm run bench`. */
export interface Benchmark<Settings = unknown> {
  readonly name: string
  /** One line for the list of benchmarks. */
  readonly summary: string
  /** Its options, for `--help`. */
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** Seconds that it may take, unless told otherwise. */
  readonly seconds: number
  /** @throws NetloomError naming the option that is wrong */
  readonly read: (values: OptionValues) => Settings
  /**
   * Runs before, outside of the namespaces: gets what needs a network.
   * @returns `UNAVAILABLE` where it cannot be had, having said why
   */
  readonly prepare?: () => ExitCode
  /** Runs in network and mount namespaces of its own, with an empty /run in memory. */
  readonly run: (settings: Settings, surroundings: Surroundings) => Promise<readonly Measured[]>
}

export interface Surroundings {
  /** An empty folder in memory. */
  readonly directory: string
  readonly progress: Progress
  /** Aborted when the benchmark is to end early: it cleans up and throws. */
  readonly signal: AbortSignal
  /** Tells what a reader of the figures has to know: a peer that is missing. */
  readonly note: (text: string) => void
}
