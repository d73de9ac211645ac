import { parseCidr, parseIp } from '../../../src/base/ip.js'
import { DEFAULT_VXLAN } from '../../../src/base/names.js'
import { planText } from '../../../src/ops/text.js'
import { tunnelGuardRuleset } from '../../../src/tunnelguard/layout.js'
import { planTunnelGuard, tunnelGuardElements } from '../../../src/tunnelguard/plan.js'
import { FakeRuleset } from '../../unit/proxy/fake-ruleset.js'
import { observed } from '../../unit/tunnelguard/observed.js'
import { type Planner } from './section.js'

interface Input {
  readonly title: string
  /** None where the node has no tunnels. */
  readonly own?: readonly string[]
  readonly peers?: readonly string[]
  readonly pods?: readonly string[]
}

/** Each document is what is wanted next. */
export const tunnelGuardPlans: Planner = (documents) => {
  const ruleset = new FakeRuleset()
  return (documents as Input[]).map(({ title, own, peers = [], pods = [] }) => {
    const elements = own && {
      own: own.map((text) => parseIp(text)),
      peers: peers.map((text) => parseIp(text)),
      pods: pods.map((text) => parseCidr(text)),
    }
    const wanted = elements && tunnelGuardElements(elements)
    const ops = planTunnelGuard(tunnelGuardRuleset(DEFAULT_VXLAN), wanted, observed(ruleset))
    ruleset.apply(ops)
    return { title, plan: planText(ops) }
  })
}
