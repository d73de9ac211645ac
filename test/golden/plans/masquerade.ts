import { parseCidr } from '../../../src/base/ip.js'
import { type MasqueradeDesired, masqueradeElements, planMasquerade } from '../../../src/masquerade/plan.js'
import { planText } from '../../../src/ops/text.js'
import { FakeRuleset } from '../../unit/proxy/fake-ruleset.js'
import { type Planner } from './section.js'

interface Input {
  readonly title: string
  readonly sources: readonly string[]
  readonly exceptions: readonly string[]
}

const desiredOf = ({ sources, exceptions }: Input): MasqueradeDesired => ({
  sources: sources.map((text) => parseCidr(text)),
  exceptions: exceptions.map((text) => parseCidr(text)),
})

/** Each document is what is wanted next. */
export const masqueradePlans: Planner = (documents) => {
  const ruleset = new FakeRuleset()
  return (documents as Input[]).map((input) => {
    const names = [...ruleset.sets.keys()]
    const elements = new Map(names.map((name) => [name, ruleset.elementsOf(name)]))
    const actual = ruleset.present ? { structure: ruleset.structure(), elements } : undefined
    const ops = planMasquerade(masqueradeElements(desiredOf(input)), actual)
    ruleset.apply(ops)
    return { title: input.title, plan: planText(ops) }
  })
}
