import { type Op } from '../ops/op.js'

/** Something that is not as it should be: what CHECK says of it, and what puts it right. */
export interface Fault {
  readonly text: string
  readonly repair: readonly Op[]
}
