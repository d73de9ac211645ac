import { type TunnelGuardActual } from '../../../src/tunnelguard/plan.js'
import { type FakeRuleset } from '../proxy/fake-ruleset.js'

/** The table as an agent reads it back. */
export function observed(ruleset: FakeRuleset): TunnelGuardActual | undefined {
  if (!ruleset.present) return undefined
  const names = [...ruleset.sets.keys()]
  return {
    structure: ruleset.structure(),
    elements: new Map(names.map((name) => [name, ruleset.elementsOf(name)] as const)),
  }
}
