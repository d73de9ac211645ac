import { LIMIT_QDISC } from '../../../src/base/names.js'
import { type BandwidthActual } from '../../../src/bandwidth/plan.js'
import { TC_H } from '../../../src/codec/rtnl/constants.js'
import { type Filter, handleText } from '../../../src/codec/rtnl/filter.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { type Qdisc } from '../../../src/codec/rtnl/qdisc.js'
import { ticksOf } from '../../../src/codec/rtnl/tbf.js'
import { type Op, type OpOf } from '../../../src/ops/op.js'
import { opText } from '../../../src/ops/text.js'

/** The kernel's traffic control as far as limits use it: does what is asked, and refuses what the kernel would. */
export class FakeTraffic {
  readonly links = new Map<string, Link>()
  readonly #qdiscs = new Map<string, Qdisc>()
  readonly #filters = new Map<string, Filter[]>()
  #last = 1

  constructor(...names: readonly string[]) {
    for (const name of names) this.addLink(name, 'veth')
  }

  addLink(name: string, kind: string): void {
    if (this.links.has(name)) throw new Error(`${name} exists`)
    const index = ++this.#last
    this.links.set(name, { index, name, kind, up: false, running: false, loopback: false, mtu: 1500, group: 0 })
  }

  deleteLink(name: string): void {
    const gone = this.links.get(name)?.index
    this.links.delete(name)
    for (const parts of [this.#qdiscs, this.#filters])
      for (const key of [...parts.keys()]) if (key.startsWith(`${name} `)) parts.delete(key)
    for (const [key, filters] of this.#filters)
      this.#filters.set(key, filters.map((filter) => pointing(filter, gone, 0))) // prettier-ignore
  }

  /** What a planner for a device is given. */
  actual(device: string): BandwidthActual {
    return { links: this.links, qdiscs: [...this.#qdiscs.values()], filters: this.filters(device) }
  }

  filters(device: string): Filter[] {
    return this.#filters.get(`${device} `) ?? []
  }

  /** All that is there beside links of others, for people. */
  text(): string[] {
    const ifbs = [...this.links.values()].filter(({ kind }) => kind === 'ifb').map(({ name }) => name)
    return [...ifbs, ...this.#qdiscs.keys(), ...[...this.#filters.keys()].map((key) => `${key}filters`)]
  }

  apply(ops: readonly Op[]): void {
    for (const op of ops) (this.#do[op.kind] ?? refuse)(op as never)
  }

  #index(device: string): number {
    const link = this.links.get(device)
    if (link === undefined) throw new Error(`no link ${device}`)
    return link.index
  }

  #addFilter(device: string, filter: Omit<Filter, 'index' | 'kind'>): void {
    const filters = this.#filters.get(`${device} `)
    if (filters === undefined) throw new Error(`${device} has no place for filters`)
    const taken = filters.some(({ handle }) => handleText(handle) === handleText(filter.handle))
    if (taken) throw new Error(`filter ${handleText(filter.handle)} exists`)
    filters.push({ index: this.#index(device), kind: 'u32', ...filter })
  }

  /** The kernel numbers what stands at the root of a priority. */
  #rootHandle = (priority: number) => ({ table: 0x800 + priority, bucket: 0, node: 0x800 + ++this.#last })

  readonly #do: { readonly [K in Op['kind']]?: (op: OpOf<K>) => void } = {
    'link.add': ({ link }) => this.addLink(link.name, link.kind),
    'link.delete': ({ name }) => this.deleteLink(name),
    'link.set': ({ name, changes }) => {
      const link = this.links.get(name)
      if (link !== undefined) this.links.set(name, { ...link, up: changes.up ?? link.up })
    },
    'clsact.add': ({ device }) => {
      if (this.#filters.has(`${device} `)) throw new Error(`${device} has a clsact`)
      this.#filters.set(`${device} `, [])
      this.#setQdisc(device, { kind: 'clsact', handle: 0xffff, parent: TC_H.CLSACT })
    },
    'clsact.delete': ({ device }) => {
      this.#filters.delete(`${device} `)
      this.#qdiscs.delete(`${device} clsact`)
    },
    'limit.replace': ({ device, handle, rate, limit, burst }) =>
      this.#setQdisc(device, {
        kind: 'tbf',
        handle,
        parent: TC_H.ROOT,
        tokenBucket: { rate, limit, burstTicks: ticksOf({ rate, burst }) },
      }),
    'limit.delete': ({ device, handle }) => {
      if (handle === LIMIT_QDISC) this.#qdiscs.delete(`${device} tbf`)
    },
    'filter.add': ({ device, target, to, handle, source = {}, family, priority }) => {
      const table = handle && { table: handle.table, bucket: 0, node: 0 }
      if (table && !this.filters(device).some((other) => handleText(other.handle) === handleText(table)))
        throw new Error(`${device} has no table ${table.table}`)
      const redirect = { to, target: this.#index(target) }
      this.#addFilter(device, { family, priority, source, redirect, handle: handle ?? this.#rootHandle(priority) })
    },
    'filter.table': ({ device, family, priority, tableId, buckets }) =>
      this.#addFilter(device, { family, priority, buckets, handle: { table: tableId, bucket: 0, node: 0 } }),
    'filter.link': ({ device, family, priority, tableId }) =>
      this.#addFilter(device, { family, priority, leadsTo: tableId, handle: this.#rootHandle(priority) }),
    'filter.delete': ({ device, priority, handle }) => {
      const goes = (filter: Filter): boolean =>
        filter.priority === priority && (handle === undefined || handleText(filter.handle) === handleText(handle))
      if (this.#filters.has(`${device} `))
        this.#filters.set(`${device} `, this.filters(device).filter((filter) => !goes(filter))) // prettier-ignore
    },
  }

  #setQdisc(device: string, qdisc: Omit<Qdisc, 'index'>): void {
    this.#qdiscs.set(`${device} ${qdisc.kind}`, { index: this.#index(device), ...qdisc })
  }
}

const refuse = (op: Op): never => {
  throw new Error(`not known: ${opText(op)}`)
}

const pointing = (filter: Filter, from: number | undefined, to: number): Filter =>
  filter.redirect !== undefined && filter.redirect.target === from
    ? { ...filter, redirect: { ...filter.redirect, target: to } }
    : filter
