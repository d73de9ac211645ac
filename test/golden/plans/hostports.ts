import { hostPortsOf } from '../../../src/hostports/hostport.js'
import { HOSTPORTS_RULESET } from '../../../src/hostports/layout.js'
import { localnetDevice, planConceal, planExpose, planHostPorts } from '../../../src/hostports/plan.js'
import { Cursor } from '../../../src/model/cursor.js'
import { type Lease, MODES } from '../../../src/model/lease.js'
import { readPortMapping } from '../../../src/model/portmapping.js'
import { type Op } from '../../../src/ops/op.js'
import { asActual } from '../../../src/ops/ruleset.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease } from '../../support/lease.js'
import { type Planner } from './section.js'

interface Input {
  readonly title: string
  readonly plan: keyof typeof PLANS
  readonly containers: readonly object[]
}

function leaseOf(value: object): Lease {
  const place = new Cursor({ container: value }).field('container')
  const addresses = place.field('addresses').list((address) => address.string())
  const ports = place.field('ports').list(readPortMapping)
  return exampleLease({ addresses, ports, mode: place.field('mode').oneOf(MODES, 'bridge') })
}

const devicesOf = (leases: readonly Lease[]): string[] => [
  ...new Set(leases.flatMap((lease) => localnetDevice(lease, hostPortsOf(lease)) ?? [])),
]

const none = new Map<string, string>()

const PLANS = {
  /** One attachment, in a table that stands. */
  expose: (leases: readonly Lease[]): Op[] =>
    leases.flatMap((lease) => planExpose(hostPortsOf(lease), localnetDevice(lease, hostPortsOf(lease)))),
  conceal: (leases: readonly Lease[]): Op[] => planConceal(leases.flatMap(hostPortsOf)),
  /** Everything, where there is nothing. */
  start: (leases: readonly Lease[]): Op[] =>
    planHostPorts({ ports: leases.flatMap(hostPortsOf), devices: devicesOf(leases) }, undefined, none),
  /** Everything, where the table stands and is empty. */
  repair: (leases: readonly Lease[]): Op[] =>
    planHostPorts(
      { ports: leases.flatMap(hostPortsOf), devices: devicesOf(leases) },
      { structure: asActual(HOSTPORTS_RULESET), elements: new Map() },
      none,
    ),
} as const

/** Each document is a plan of its own. */
export const hostPortPlans: Planner = (documents) =>
  (documents as Input[]).map(({ title, plan, containers }) => ({
    title,
    plan: planText(PLANS[plan](containers.map(leaseOf))),
  }))
