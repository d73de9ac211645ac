import { setTimeout as sleep } from 'node:timers/promises'
import { type Surroundings } from '../benchmark.js'
import { type Execution } from '../execution.js'
import { turn } from '../order.js'
import { type Samples } from '../samples.js'
import { FLOOR } from './contenders.js'
import { type PodNamespace } from './namespaces.js'
import { checkAdded, type Contender, type Stage } from './stage.js'

/** Calls one at a time: nobody else calls, and what one leaves to do is done before the next is measured. */

/** Longer than what either does after its answer: the agent looks at the node some 20 ms after a change. */
const PAUSE_MS = 30

export interface SingleOptions {
  readonly iterations: number
  /** Iterations before those that count. */
  readonly warmUp: number
}

interface Step {
  /** Name of its measurements. */
  readonly name: string
  readonly make: () => Execution
  readonly check?: (output: string) => void
}

type Turn = (pod: PodNamespace) => Step[]

/** Puts `CONTENDER ADD`, `CONTENDER DEL` and the floors into `samples`, in milliseconds. */
export async function measureSingle(
  stage: Stage,
  { iterations, warmUp }: SingleOptions,
  { samples, signal, progress }: Pick<Surroundings, 'signal' | 'progress'> & { samples: Samples },
): Promise<void> {
  const turns: Turn[] = [...stage.contenders.map((contender) => attachment(stage, contender)), floors(stage)]
  const total = iterations + warmUp
  progress.say(`one at a time, ${iterations} times each`)
  const pods = await stage.pods.make(total * turns.length)
  for (let round = 0; round < total; round++) {
    progress.detail(`one at a time: ${round + 1} of ${total}`)
    for (const steps of turn(turns, round)) {
      for (const { name, make, check } of steps(pods.pop() as PodNamespace)) {
        await sleep(PAUSE_MS)
        signal.throwIfAborted()
        const execution = make()
        const ms = execution.runSync()
        const output = execution.finish()
        check?.(output)
        if (round >= warmUp) samples.add(name, ms)
      }
    }
  }
  await stage.pods.retire(pods)
}

const attachment =
  (stage: Stage, contender: Contender): Turn =>
  (pod) => [
    { name: `${contender.name} ADD`, make: () => stage.call(contender, 'ADD', pod), check: checkAdded },
    { name: `${contender.name} DEL`, make: () => stage.call(contender, 'DEL', pod) },
  ]

const floors = (stage: Stage): Turn => {
  const { netloom } = stage
  const { place, configuration: input } = netloom
  return () => [
    { name: FLOOR.START, make: () => stage.execution({ executable: FLOOR.START, env: {}, input, place }) },
    { name: FLOOR.EXECUTABLE, make: () => stage.call(netloom, 'VERSION') },
    { name: FLOOR.TRANSPORT, make: () => stage.call(netloom, 'STATUS') },
  ]
}
