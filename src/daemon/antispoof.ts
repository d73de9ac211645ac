import { ANTISPOOF, ANTISPOOF_TABLES } from '../antispoof/layout.js'
import { type Guarded, guardedOf } from '../antispoof/guarded.js'
import {
  type ActualTable,
  type AntispoofActual,
  antispoofDifferences,
  planAntispoof,
  planGuard,
  planUnguard,
} from '../antispoof/plan.js'
import { type Table } from '../codec/nft/table.js'
import { observeLink, observeTable } from '../kernel/observe.js'
import { type Lease } from '../model/lease.js'
import { type Kept } from './keeper.js'
import { type Kernel } from './kernel.js'

/** Who may send as whom, as a {@link Kept} feature. */
export const antispoof = ({ route, netfilter }: Kernel): Kept<AntispoofActual> => ({
  name: 'anti-spoofing',
  tables: ANTISPOOF_TABLES,
  observe: async () => {
    const actual = new Map<Table['family'], ActualTable>()
    for (const ruleset of ANTISPOOF) {
      const table = await observeTable(netfilter, ruleset)
      if (table !== undefined) actual.set(ruleset.table.family, table)
    }
    return actual
  },
  planAll: async (leases, actual) => planAntispoof(await guarded(route, leases), actual),
  planAdd: async (lease) => planGuard(...(await guarded(route, [lease]))),
  planRemove: async (lease) => planUnguard(...(await guarded(route, [lease]))),
  differences: async (lease, actual) =>
    (await guarded(route, [lease])).flatMap((one) => [...antispoofDifferences(one, actual)]),
})

async function guarded(route: Kernel['route'], leases: readonly Lease[]): Promise<Guarded[]> {
  const checked = leases.filter(({ spoofCheck, hostInterface }) => spoofCheck && hostInterface !== '')
  return Promise.all(checked.map(async (lease) => guardedOf(lease, await placeOf(route, lease))))
}

/** Of another plugin's link only the kernel knows whether it is a bridge's port. */
async function placeOf(route: Kernel['route'], { mode, hostInterface }: Lease): Promise<Guarded['on']> {
  if (mode !== 'chained') return mode === 'bridge' ? 'bridge' : 'link'
  return (await observeLink(route, hostInterface))?.master === undefined ? 'link' : 'bridge'
}
