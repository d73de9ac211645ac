import { type Family, IPV4, IPV6 } from '../../../src/base/family.js'
import { type SetSpec } from '../../../src/codec/nft/set.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { TYPE } from '../../../src/codec/nft/types.js'

/** One family's part of what steps.mjs has nft make. */
export interface Fixture {
  readonly family: Family
  readonly table: Table
  readonly vip: string
  readonly pod: string
  readonly sets: Readonly<Record<'ips' | 'pairs' | 'nets' | 'frontends' | 'slots' | 'slot_0' | 'ports', SetSpec>>
}

function fixture(family: Family, vip: string, pod: string): Fixture {
  const address = TYPE[family.nftAddress]
  const frontend = [address, TYPE.inet_proto, TYPE.inet_service]
  return {
    family,
    vip,
    pod,
    table: { family: family.nft, name: 't' },
    sets: {
      ips: { name: 'ips', key: [address] },
      pairs: { name: 'pairs', key: [address, address] },
      nets: { name: 'nets', key: [address], interval: true },
      frontends: { name: 'frontends', key: frontend, data: 'verdict' },
      slots: { name: 'slots', key: [TYPE.numgen], data: 'verdict' },
      slot_0: { name: 'slot_0', key: frontend, data: [address, TYPE.inet_service] },
      ports: { name: 'ports', key: [TYPE.inet_proto, TYPE.inet_service], data: [TYPE.inet_service] },
    },
  }
}

export const FIXTURES: readonly Fixture[] = [
  fixture(IPV4, '10.96.0.1', '10.0.1.5'),
  fixture(IPV6, 'fd00:96::1', 'fd00:1::5'),
]

/** Tables that judge frames, and packets with the frame around them. */
export const LINK_TABLES: readonly Table[] = (['bridge', 'inet', 'arp'] as const).map((family) => ({
  family,
  name: 't',
}))
