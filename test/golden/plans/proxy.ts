import { FAMILIES } from '../../../src/base/family.js'
import { type EndpointSlice } from '../../../src/model/endpointslice.js'
import { type KubeObject, parseObject } from '../../../src/model/object.js'
import { type Service } from '../../../src/model/service.js'
import { planText } from '../../../src/ops/text.js'
import { FrontendCatalog, type FrontendChange } from '../../../src/proxy/catalog.js'
import { type Frontend, frontendsOf } from '../../../src/proxy/frontend.js'
import { type ProxyPlan } from '../../../src/proxy/draft.js'
import { planChanges, planSync } from '../../../src/proxy/plan.js'
import { emptyState } from '../../../src/proxy/state.js'
import { FakeServices } from '../../unit/proxy/fake-services.js'
import { type Planner, type Section } from './section.js'

interface Input {
  readonly title: string
  /** The agent starts again, and reads back what is there. */
  readonly restart?: boolean
  /** All objects that there are from now on. */
  readonly objects: readonly unknown[]
}

const NODE = 'node-1'

/** Each document is the state of the world at a moment; its sections are what that means for each family's table. */
export const proxyPlans: Planner = (documents) => {
  const catalog = new FrontendCatalog()
  const known = new Set<string>()
  const sides = FAMILIES.map((family) => ({ family, table: new FakeServices(), state: emptyState(family) }))
  return (documents as Input[]).flatMap(({ title, restart = false, objects }, i) => {
    const changes = update(catalog, known, objects)
    return sides.map((side): Section => {
      const isOwn = (address: string): boolean => address.includes(':') === (side.family.bytes === 16)
      const sync = i === 0 || restart
      const own = [...catalog.all()].filter((frontend): frontend is Frontend => frontend.family === side.family)
      const { state, plans } = sync
        ? planSync(side.family, own, side.table.observe())
        : { state: side.state, plans: planChanges(side.state, changes.filter(({ key }) => isOwn(key))) } // prettier-ignore
      side.state = state
      return { title: `${title}: ${side.family.name}`, plan: run(side.table, plans) }
    })
  })
}

function update(catalog: FrontendCatalog, known: Set<string>, values: readonly unknown[]): FrontendChange[] {
  const objects = values.map((value) => parseObject(value)).filter((object) => object !== undefined)
  const ofKind = <T extends KubeObject>(kind: T['kind']): T[] => objects.filter((object): object is T => object.kind === kind) // prettier-ignore
  const services = new Map(
    ofKind<Service>('Service').map((service) => [`${service.namespace}/${service.name}`, service]),
  )
  const slices = ofKind<EndpointSlice>('EndpointSlice')
  const changes = [...new Set([...known, ...services.keys()])].flatMap((key) => {
    const service = services.get(key)
    const own = slices.filter((slice) => `${slice.namespace}/${slice.service ?? ''}` === key)
    return catalog.set(key, service === undefined ? [] : frontendsOf(service, own, NODE))
  })
  for (const key of services.keys()) known.add(key)
  return changes
}

/** Transactions, each behind a line of its own where there are several. */
function run(table: FakeServices, plans: Iterable<ProxyPlan>): string {
  const texts: string[] = []
  table.run(plans, ({ ops }) => {
    if (ops.length > 0) texts.push(planText(ops))
  })
  return texts.join('# next transaction\n')
}
