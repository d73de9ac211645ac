import { type Element } from '../codec/nft/element.js'
import { ISOLATION, setsAmong } from '../isolation/layout.js'
import {
  hasStructure,
  type IsolationActual,
  isolationDifferences,
  isPoliced,
  planIsolation,
  planJoin,
  planLeave,
} from '../isolation/plan.js'
import { observeElements, observeRuleset } from '../kernel/observe.js'
import { type Lease } from '../model/lease.js'
import { type NftOp } from '../ops/op.js'
import { type Kept } from './keeper.js'
import { type Kernel } from './kernel.js'

/**
 * Who may open connections to which containers, as a {@link Kept} feature. Where the table has the chains and sets that
 * are needed, one that comes or goes is a few elements. Whether it has them the kernel is asked each time: those who come
 * at the same moment, or fail half-way, would make a memory of it wrong. Where no network has a policy, it is not asked.
 */
export const isolation = ({ netfilter }: Pick<Kernel, 'netfilter'>): Kept<IsolationActual | undefined> => {
  const observe = (): Promise<IsolationActual | undefined> => see(netfilter)
  const planStep = async (leases: readonly Lease[], step: () => readonly NftOp[]): Promise<readonly NftOp[]> =>
    hasStructure(leases, await observeRuleset(netfilter, ISOLATION)) ? step() : planIsolation(leases, await observe())
  return {
    name: 'isolation',
    tables: [ISOLATION],
    observe,
    planAll: planIsolation,
    planAdd: (lease, all) => (isPoliced(all) ? planStep(all, () => planJoin(lease, all)) : []),
    planRemove: (lease, rest) => (isPoliced([lease, ...rest]) ? planStep(rest, () => planLeave(lease, rest)) : []),
    differences: (lease, actual, all) => isolationDifferences(lease, all, actual),
  }
}

async function see(netfilter: Kernel['netfilter']): Promise<IsolationActual | undefined> {
  const structure = await observeRuleset(netfilter, ISOLATION)
  if (structure === undefined) return undefined
  const elements = new Map<string, readonly Element[]>()
  for (const set of setsAmong(structure.sets)) elements.set(set.name, await observeElements(netfilter, ISOLATION, set))
  return { structure, elements }
}
