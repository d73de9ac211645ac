import { type Outcome } from './outcome.js'
import { type Target } from './targets.js'

/** What an attempt's outcome means, given what should have happened. */

export type Verdict =
  | { readonly cell: 'ok' | 'refused'; readonly problem?: undefined }
  | { readonly cell: 'failed'; readonly problem: string }

/** A Service without endpoints refuses at once; later than this is a timeout in disguise. */
const AT_ONCE_MS = 1000

/** A Service was asked by its ClusterIP. */
export function judgeService({ endpoints }: Pick<Target, 'endpoints'>, outcome: Outcome): Verdict {
  if (endpoints.length === 0) return judgeRefusal(outcome)
  const { answer } = outcome
  if (answer === undefined) return failed(outcome.failure)
  if (endpoints.some(({ pod, port }) => pod === answer.pod && port === answer.port)) return { cell: 'ok' }
  return failed(`wrong pod: ${answer.pod} port ${answer.port}`)
}

function judgeRefusal({ failure, answer, ms }: Outcome): Verdict {
  if (answer !== undefined) return failed(`answered by ${answer.pod}, though it has no endpoints`)
  if (failure !== 'refused') return failed(`${failure}, though it has no endpoints and should refuse`)
  return ms < AT_ONCE_MS ? { cell: 'refused' } : failed(`refused, but only after ${Math.round(ms)} ms`)
}

/** A pod was asked by its own address and has to see the client's own. */
export function judgeDirect(expected: { readonly pod: string; readonly client: string }, outcome: Outcome): Verdict {
  const { answer } = outcome
  if (answer === undefined) return failed(outcome.failure)
  if (answer.pod !== expected.pod) return failed(`wrong pod: ${answer.pod}`)
  if (answer.client !== expected.client) return failed(`the pod saw ${answer.client} instead of ${expected.client}`)
  return { cell: 'ok' }
}

const failed = (problem: string): Verdict => ({ cell: 'failed', problem })
