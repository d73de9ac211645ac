import { type Element } from '../codec/nft/element.js'
import { observeElements, observeRuleset } from '../kernel/observe.js'
import { type Talk } from '../kernel/talk.js'
import { MASQUERADE, MASQUERADE_SETS, type MasqueradeActual } from '../masquerade/plan.js'

/** The masquerade table as the kernel has it; undefined where it is not there. */
export async function observeMasquerade(netfilter: Talk): Promise<MasqueradeActual | undefined> {
  const structure = await observeRuleset(netfilter, MASQUERADE)
  if (structure === undefined) return undefined
  const elements = new Map<string, Element[]>()
  for (const set of MASQUERADE_SETS.flatMap(({ sources, exceptions }) => [sources, exceptions]))
    if (structure.sets.has(set.name)) elements.set(set.name, await observeElements(netfilter, MASQUERADE, set))
  return { structure, elements }
}
