import { type Family } from '../base/family.js'
import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { type NftOp } from '../ops/op.js'
import { servicesTable } from './layout.js'

/** Elements of one transaction, more or less: its bytes have to fit into the socket's send buffer. */
export const TRANSACTION_ELEMENTS = 2000

/** Elements of one set as operations, each of which fits into a transaction. */
export function elementsOps(
  kind: 'elements.add' | 'elements.delete',
  family: Family,
  set: SetSpec,
  elements: readonly Element[],
): NftOp[] {
  const ops: NftOp[] = []
  for (let at = 0; at < elements.length; at += TRANSACTION_ELEMENTS)
    ops.push({ kind, table: servicesTable(family), set, elements: elements.slice(at, at + TRANSACTION_ELEMENTS) })
  return ops
}
