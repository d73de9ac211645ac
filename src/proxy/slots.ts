import { type Family } from '../base/family.js'
import { type Element } from '../codec/nft/element.js'
import { type NftOp } from '../ops/op.js'
import { asActual, planStructure } from '../ops/ruleset.js'
import { elementsOps } from './elements.js'
import { servicesRuleset, slotName, SLOTS_MAP } from './layout.js'
import { goesTo, type ProxyState } from './state.js'

/** Makes map `slots` lead from 0 up to `slots` - 1 to the chains of these slots; what leads higher is left alone. */
export function picksOps(family: Family, slots: number, present: readonly Element[]): NftOp[] {
  const leads = ({ key, data }: Element): boolean => {
    const slot = Number(key[0])
    return slot >= slots || goesTo(data) === slotName(slot)
  }
  const wrong = present.filter((element) => !leads(element))
  const right = new Set(present.filter(leads).map(({ key }) => Number(key[0])))
  const missing = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !right.has(slot))
  return [
    ...elementsOps('elements.delete', family, SLOTS_MAP, wrong),
    ...elementsOps('elements.add', family, SLOTS_MAP, missing.map(pickElement)),
  ]
}

const pickElement = (slot: number): Element => ({ key: [slot], data: { verdict: 'goto', chain: slotName(slot) } })

/** Maps, chains and rules for more slots than there are. */
export function growth({ family, slots }: ProxyState, wanted: number): NftOp[] {
  if (wanted <= slots) return []
  const { before } = planStructure(servicesRuleset(family, wanted), asActual(servicesRuleset(family, slots)))
  const present = Array.from({ length: slots }, (_, slot) => pickElement(slot))
  return [...before, ...picksOps(family, wanted, present)]
}
