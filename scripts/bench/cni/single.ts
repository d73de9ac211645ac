import { setTimeout as sleep } from 'node:timers/promises'
import { type Surroundings } from '../benchmark.js'
import { type Runnable } from '../execution.js'
import { turn } from '../order.js'
import { type Samples } from '../samples.js'
import { cpuOf, FLOOR } from './contenders.js'
import { type PodNamespace } from './namespaces.js'
import { type Contender } from './chain.js'
import { addressIn, type Stage } from './stage.js'

/** Calls one at a time: nobody else calls, and what one leaves to do is done before the next is measured. */

/** Longer than what either does after its answer: the agent looks at the node some 20 ms after a change. */
const PAUSE_MS = 30

export interface SingleOptions {
  readonly iterations: number
  /** Iterations before those that count. */
  readonly warmUp: number
}

/** Rounds that pods are made ready for at a time: enough that making them is rare, few enough to bound memory. */
const BLOCK = 25

interface Step {
  /** Name of its measurements. */
  readonly name: string
  readonly make: () => Runnable
  /** Gets what was printed; throws where that is not right. */
  readonly take?: (output: string) => void
}

/** What one contender does in a round, with a pod that nobody has used before. */
type Turn = (pod: PodNamespace) => Step[]

type Measurements = Pick<Surroundings, 'signal' | 'progress'> & { readonly samples: Samples }

/** Puts `CONTENDER ADD`, `CONTENDER DEL` and the floors into `samples`, and their CPU times, in milliseconds. */
export async function measureSingle(stage: Stage, options: SingleOptions, measurements: Measurements): Promise<void> {
  const turns = [...stage.contenders.map((contender) => attachment(stage, contender)), floors(stage)]
  const { progress } = measurements
  const total = options.iterations + options.warmUp
  progress.say(`one at a time, ${options.iterations} times each`)
  for (let first = 0; first < total; first += BLOCK) {
    const last = Math.min(first + BLOCK, total)
    const pods = await stage.pods.make((last - first) * turns.length)
    let used = 0
    for (let round = first; round < last; round++) {
      progress.detail(`one at a time: ${round + 1} of ${total}`)
      for (const take of turn(turns, round))
        await measure(take(pods[used++] as PodNamespace), round >= options.warmUp, { ...measurements, stage })
    }
    await stage.pods.retire(pods)
  }
}

async function measure(
  steps: readonly Step[],
  counts: boolean,
  { stage, samples, signal }: Measurements & { readonly stage: Stage },
): Promise<void> {
  for (const { name, make, take } of steps) {
    await sleep(PAUSE_MS)
    signal.throwIfAborted()
    const execution = make()
    const { ms, cpuMs } = await execution.run(stage.children)
    const output = execution.finish()
    take?.(output)
    if (!counts) continue
    samples.add(name, ms)
    samples.add(cpuOf(name), cpuMs)
  }
}

const attachment =
  (stage: Stage, contender: Contender): Turn =>
  (pod) => {
    let previous = ''
    const take = (output: string): void => {
      addressIn(output)
      previous = output
    }
    return [
      { name: `${contender.name} ADD`, make: () => stage.call(contender, { command: 'ADD', pod }), take },
      { name: `${contender.name} DEL`, make: () => stage.call(contender, { command: 'DEL', pod, previous }) },
    ]
  }

const floors = (stage: Stage): Turn => {
  const { netloom } = stage
  const start = { executable: FLOOR.START, env: {}, input: '/dev/null', place: netloom.place }
  return () => [
    { name: FLOOR.START, make: () => stage.execution(start) },
    { name: FLOOR.EXECUTABLE, make: () => stage.call(netloom, { command: 'VERSION' }) },
    { name: FLOOR.TRANSPORT, make: () => stage.call(netloom, { command: 'STATUS' }) },
  ]
}
