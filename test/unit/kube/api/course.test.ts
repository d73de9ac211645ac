import t from 'tap'
import { NetloomError } from '../../../../src/base/errors.js'
import { errorOfStatus } from '../../../../src/kube/api/answer.js'
import { afterFailure, isLasting, LIST, type Step } from '../../../../src/kube/api/course.js'

const refusal = (code: number, rest: object = {}) => errorOfStatus({ kind: 'Status', code, ...rest })
const TOO_NEW = refusal(504, { details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } })
const LOST = new NetloomError('unavailable', 'the connection broke off')
const NONSENSE = new NetloomError('invalid', 'no JSON')
const WATCH: Step = { do: 'watch', from: '5' }
const VERIFY: Step = { do: 'verify', at: '5' }
const RESUMED: Step = { do: 'watch', from: '7' }

const ROWS: [what: string, step: Step, error: NetloomError, failures: number, next: Step, lasting: boolean][] = [
  ['a list is asked for again', LIST, LOST, 1, LIST, false],
  ['and again', LIST, LOST, 2, LIST, true],
  ['a list that may not be read', LIST, refusal(403), 1, LIST, true],
  ['a list that expires', LIST, refusal(410), 1, LIST, false],
  ['a list that always expires', LIST, refusal(410), 4, LIST, true],
  ['a watch that breaks off goes on', WATCH, LOST, 1, RESUMED, false],
  ['for as long as it takes', WATCH, LOST, 100, RESUMED, true],
  ['a watch from a version that is gone', WATCH, refusal(410), 2, LIST, false],
  ['a watch from a version that is not there yet', WATCH, TOO_NEW, 1, LIST, false],
  ['a watch that is refused', WATCH, refusal(500), 1, RESUMED, false],
  ['a watch that is refused three times', WATCH, refusal(500), 3, LIST, true],
  ['a watch that says nonsense', WATCH, NONSENSE, 1, LIST, true],
  ['a comparison is made again', VERIFY, LOST, 1, VERIFY, false],
  ['a comparison with a version that is gone', VERIFY, refusal(410), 1, LIST, false],
]

t.test('what follows a failure', async (t) => {
  for (const [what, step, error, failures, next, lasting] of ROWS) {
    t.same(afterFailure(step, '7', { error, failures }), next, what)
    t.equal(isLasting({ error, failures }), lasting, `${what}: told`)
  }
})
