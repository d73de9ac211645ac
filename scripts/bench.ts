import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { asError, NetloomError } from '../src/base/errors.js'
import { EXIT, type ExitCode, ignoreClosedReaders, numberOption, type OptionValues, usage } from '../src/cli/command.js'
import { assertIsolated, isInside, runIsolated, untilStopped } from '../src/cli/demo/isolation.js'
import { Progress } from '../src/cli/demo/progress.js'
import { MOUNT, mount } from '../src/kernel/libc.js'
import { type Benchmark } from './bench/benchmark.js'
import { clusterBenchmark } from './bench/cluster.js'
import { cniBenchmark } from './bench/cni.js'
import { figure } from './bench/figure.js'
import { describeMachine } from './bench/machine.js'
import { jsonLine, readable, type Report } from './bench/report.js'

/** `npm run bench -- NAME [--json]`: figures, side by side with those of others where they are installed. */

const BENCHMARKS: readonly Benchmark[] = [cniBenchmark as Benchmark, clusterBenchmark as Benchmark]

/** Below the private /run, so in memory. */
const DIRECTORY = '/run/netloom-bench'

const LONGEST_SECONDS = 24 * 3600

const HELP = `Usage: npm run bench -- NAME [--json] [OPTION]...

Measures, and prints a table and, as the last line, one JSON object: { bench, machine, figures }. Runs in namespaces of
its own, which end with it; needs root only where the machine forbids user namespaces.

  --json              print the JSON line only
  --time-limit N      give up after N seconds
  -h, --help          this text

${BENCHMARKS.map(({ name, summary, help, seconds }) => `${name}: ${summary} (time limit ${seconds} s)\n${help}`).join('\n')}
Exit code: 0 measured, whether goals are met or not; 1 failed; 2 wrong usage; 3 the machine does not allow it;
130 Ctrl-C.
`

interface Invocation {
  readonly benchmark: Benchmark
  readonly values: OptionValues
  readonly settings: unknown
  readonly seconds: number
}

function readArguments([name, ...args]: readonly string[]): Invocation {
  const benchmark = BENCHMARKS.find((candidate) => candidate.name === name)
  if (benchmark === undefined)
    throw usage(`'${name ?? ''}' is none of the benchmarks ${BENCHMARKS.map((each) => each.name).join(', ')} (--help)`)
  const common = { json: { type: 'boolean' }, 'time-limit': { type: 'string' } } as const
  let values: OptionValues
  try {
    values = parseArgs({ args, options: { ...benchmark.options, ...common } }).values
  } catch (error) {
    throw usage(`${asError(error).message} (--help)`)
  }
  const seconds = numberOption(values, 'time-limit', { fallback: benchmark.seconds, min: 1, max: LONGEST_SECONDS })
  return { benchmark, values, settings: benchmark.read(values), seconds }
}

async function runInside({ benchmark, values, settings, seconds }: Invocation): Promise<ExitCode> {
  assertIsolated()
  const machine = describeMachine()
  mount('tmpfs', '/run', 'tmpfs', MOUNT.NOSUID | MOUNT.NODEV)
  mkdirSync(DIRECTORY)
  const { stopped, release } = untilStopped()
  const stop = new AbortController()
  void stopped.then(() => stop.abort())
  const late = AbortSignal.timeout(seconds * 1000)
  const progress = new Progress()
  const notes: string[] = []
  const note = (text: string): void => void notes.push(text)
  try {
    const signal = AbortSignal.any([stop.signal, late])
    const measured = await benchmark.run(settings, { directory: DIRECTORY, progress, signal, note })
    progress.clear()
    print({ bench: benchmark.name, machine, figures: measured.map(figure) }, values['json'] === true)
    return EXIT.OK
  } catch (error) {
    progress.clear()
    if (stop.signal.aborted) return EXIT.INTERRUPTED
    throw late.aborted ? new NetloomError('unavailable', `did not end within ${seconds} s (--time-limit)`) : error
  } finally {
    for (const text of notes) process.stderr.write(`${text}\n`)
    release()
  }
}

function print(report: Report, jsonOnly: boolean): void {
  if (!jsonOnly) process.stdout.write(readable(report))
  process.stdout.write(jsonLine(report))
}

async function main(args: readonly string[]): Promise<ExitCode> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(HELP)
    return EXIT.OK
  }
  try {
    const invocation = readArguments(args)
    if (isInside()) return await runInside(invocation)
    const prepared = invocation.benchmark.prepare?.() ?? EXIT.OK
    return prepared === EXIT.OK ? await runIsolated(fileURLToPath(import.meta.url), args) : prepared
  } catch (error) {
    process.stderr.write(`bench: ${asError(error).message}\n`)
    if (!(error instanceof NetloomError)) return EXIT.FAILED
    if (error.field?.startsWith('--') === true) return EXIT.USAGE
    return error.code === 'unavailable' ? EXIT.UNAVAILABLE : EXIT.FAILED
  }
}

ignoreClosedReaders()
process.exitCode = await main(process.argv.slice(2))
