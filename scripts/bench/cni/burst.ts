import { setTimeout as sleep } from 'node:timers/promises'
import { mapBounded } from '../../../src/cli/demo/bounded.js'
import { type Surroundings } from '../benchmark.js'
import { finishAll, type Runnable } from '../execution.js'
import { turn } from '../order.js'
import { type Samples } from '../samples.js'
import { FLOOR } from './contenders.js'
import { type Contender } from './chain.js'
import { addressIn, type Stage } from './stage.js'

/** Many pods at once, as on a node that starts or is drained. */

export interface BurstOptions {
  readonly pods: number
  /** Executions at a time. */
  readonly parallel: number
  readonly rounds: number
}

/** What one leaves to do is done before the next is measured. */
const PAUSE_MS = 200

/** Rounds that do not count. */
const WARM_UP = 1

type Measurements = Pick<Surroundings, 'signal' | 'progress'> & { readonly samples: Samples }

/** Puts `burst CONTENDER ADD`, `burst CONTENDER DEL` and the floor into `samples`: milliseconds for all pods. */
export async function measureBursts(stage: Stage, options: BurstOptions, measurements: Measurements): Promise<void> {
  const { pods, parallel, rounds } = options
  const { progress, samples } = measurements
  const turns = [...stage.forBursts, undefined]
  for (let round = 0; round < WARM_UP + rounds; round++) {
    const counts = round >= WARM_UP
    progress.say(`${pods} pods, ${parallel} at once: ${counts ? `${round} of ${rounds}` : 'warming up'}`)
    for (const contender of turn(turns, round)) {
      const taken =
        contender === undefined
          ? await floor(stage, options, measurements.signal)
          : await attachAndDetach(stage, { contender, ...options }, measurements.signal)
      if (counts) for (const [name, ms] of taken) samples.add(`burst ${name}`, ms)
    }
  }
}

type Taken = readonly (readonly [name: string, ms: number])[]

async function attachAndDetach(
  stage: Stage,
  { contender, pods: count, parallel }: BurstOptions & { contender: Contender },
  signal: AbortSignal,
): Promise<Taken> {
  const pods = await stage.pods.make(count)
  const run = (command: 'ADD' | 'DEL', results: readonly string[]) =>
    runAll(
      stage,
      pods.map((pod, i) => stage.call(contender, { command, pod, previous: results[i] })),
      { parallel, signal },
    )
  const added = await run('ADD', [])
  added.outputs.forEach(addressIn)
  const deleted = await run('DEL', added.outputs)
  await stage.pods.retire(pods)
  return [
    [`${contender.name} ADD`, added.ms],
    [`${contender.name} DEL`, deleted.ms],
  ]
}

/** As many processes that do nothing: what of a burst's time is this benchmark's own. */
async function floor(stage: Stage, { pods, parallel }: BurstOptions, signal: AbortSignal): Promise<Taken> {
  const { place } = stage.netloom
  const executions = Array.from({ length: pods }, () =>
    stage.execution({ executable: FLOOR.START, env: {}, input: '/dev/null', place }),
  )
  const { ms } = await runAll(stage, executions, { parallel, signal })
  return [[FLOOR.START, ms]]
}

/** From the first start to the last exit. */
async function runAll(
  { children }: Stage,
  executions: readonly Runnable[],
  { parallel, signal }: { parallel: number; signal: AbortSignal },
): Promise<{ ms: number; outputs: string[] }> {
  await sleep(PAUSE_MS)
  const started = performance.now()
  await mapBounded(executions, parallel, (execution) => execution.run(children))
  const ms = performance.now() - started
  signal.throwIfAborted()
  return { ms, outputs: finishAll(executions) }
}
