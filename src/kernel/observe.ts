import { readFileSync } from 'node:fs'
import { type Family } from '../base/family.js'
import { keyBy } from '../base/diff.js'
import { type Address, decodeAddress, dumpAddresses } from '../codec/rtnl/address.js'
import { decodeFilter, dumpFilters, type Filter } from '../codec/rtnl/filter.js'
import { decodeLink, dumpLinks, getLink, type Link } from '../codec/rtnl/link.js'
import {
  decodeFdb,
  decodeNeighbour,
  dumpFdb,
  dumpNeighbours,
  type FdbEntry,
  type Neighbour,
} from '../codec/rtnl/neighbour.js'
import { decodeQdisc, dumpQdiscs, type Qdisc } from '../codec/rtnl/qdisc.js'
import { decodeRoute, dumpRoutes, type Route, type RouteFilter } from '../codec/rtnl/route.js'
import { type Chain, decodeChain, dumpChains } from '../codec/nft/chain.js'
import { decodeElements, dumpElements, type Element, joinIntervals } from '../codec/nft/element.js'
import { decodeRule, dumpRules } from '../codec/nft/rule.js'
import { decodeSet, dumpSets, rangesOfParts, type SetFacts, type SetSpec } from '../codec/nft/set.js'
import { decodeGeneration, decodeTable, dumpTables, getGeneration, type Table } from '../codec/nft/table.js'
import { type ActualChain, type ActualRuleset, type Ruleset } from '../ops/ruleset.js'
import { type Message } from '../codec/wire.js'
import { NetloomError } from '../base/errors.js'
import { sysctlFile } from './sysctl.js'
import { type Talk } from './talk.js'

/** What the kernel has, as the planners want it. */

const decodeAll = <T>(messages: readonly Message[], decode: (payload: Buffer) => T | undefined): T[] =>
  messages.map(({ payload }) => decode(payload)).filter((item) => item !== undefined)

export const observeLinks = async (route: Talk): Promise<Map<string, Link>> =>
  keyBy(decodeAll(await route.dump(dumpLinks()), decodeLink), ({ name }) => name)

/** The link of that name or index, or undefined. */
export async function observeLink(route: Talk, link: string | number): Promise<Link | undefined> {
  try {
    const [message] = await route.ask(getLink(typeof link === 'number' ? { index: link } : { name: link }))
    return message === undefined ? undefined : decodeLink(message.payload)
  } catch (error) {
    if (error instanceof NetloomError && error.code === 'not-found') return undefined
    throw error
  }
}

export const observeAddresses = async (route: Talk): Promise<Address[]> =>
  decodeAll(await route.dump(dumpAddresses()), decodeAddress)

export const observeRoutes = async (route: Talk, family: Family, filter: RouteFilter): Promise<Route[]> =>
  decodeAll(await route.dump(dumpRoutes(family, filter)), decodeRoute)

export const observeNeighbours = async (route: Talk, family: Family, index: number): Promise<Neighbour[]> =>
  decodeAll(await route.dump(dumpNeighbours(family, { index })), decodeNeighbour)

/** Forwarding entries of the link of that index. */
export const observeFdb = async (route: Talk, index: number): Promise<FdbEntry[]> =>
  decodeAll(await route.dump(dumpFdb({ index })), decodeFdb)

/** The links of these indexes, as far as they are there. */
export async function observeLinksBy(route: Talk, indexes: Iterable<number>): Promise<Map<number, Link>> {
  const links = await Promise.all([...new Set(indexes)].map((index) => observeLink(route, index)))
  return new Map(links.flatMap((link) => (link === undefined ? [] : [[link.index, link] as const])))
}

/** Queueing disciplines of all links. */
export const observeQdiscs = async (route: Talk): Promise<Qdisc[]> =>
  decodeAll(await route.dump(dumpQdiscs()), decodeQdisc)

/** Filters for what the link of that index receives, anybody's. */
export const observeFilters = async (route: Talk, index: number): Promise<Filter[]> =>
  decodeAll(await route.dump(dumpFilters(index)), decodeFilter)

/** All links, what they queue by, and the filters for what one of them receives. */
export async function observeTraffic(
  route: Talk,
  device: string,
): Promise<{ links: Map<string, Link>; qdiscs: Qdisc[]; filters: Filter[] }> {
  const [links, qdiscs] = await Promise.all([observeLinks(route), observeQdiscs(route)])
  const index = links.get(device)?.index
  return { links, qdiscs, filters: index === undefined ? [] : await observeFilters(route, index) }
}

/** Values of sysctls below /proc/sys; one that this kernel does not have is left out. */
export function observeSysctls(paths: readonly string[]): Map<string, string> {
  const values = new Map<string, string>()
  for (const path of paths) {
    try {
      values.set(path, readFileSync(sysctlFile(path), 'utf8').trim())
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return values
}

const sameTable = (a: Table, b: Table): boolean => a.family === b.family && a.name === b.name

/** The number of the generation that all rulesets of the namespace are at. */
export async function observeGeneration(netfilter: Talk): Promise<number> {
  const request = getGeneration()
  const [generation] = (await netfilter.ask(request)).flatMap((message) => decodeGeneration(message) ?? [])
  if (generation === undefined)
    throw new NetloomError('kernel', 'the kernel told no generation', { operation: request.operation })
  return generation
}

/** All tables of the namespace in the families that netloom uses, anybody's. */
export const observeTables = async (netfilter: Talk): Promise<Table[]> =>
  (await netfilter.dump(dumpTables())).map(decodeTable).filter((table) => table !== undefined)

/** The structure of one of our tables; undefined where the table is not there. */
export async function observeRuleset(netfilter: Talk, table: Table): Promise<ActualRuleset | undefined> {
  const tables = await observeTables(netfilter)
  if (!tables.some((other) => sameTable(other, table))) return undefined
  const chains = new Map<string, { chain: Chain; rules: string[] }>()
  for (const message of await netfilter.dump(dumpChains(table))) {
    const decoded = decodeChain(message)
    if (decoded !== undefined && sameTable(decoded.table, table))
      chains.set(decoded.chain.name, { chain: decoded.chain, rules: [] })
  }
  for (const message of await netfilter.dump(dumpRules(table))) {
    const decoded = decodeRule(message)
    if (decoded !== undefined && sameTable(decoded.table, table))
      chains.get(decoded.chain)?.rules.push(decoded.fingerprint)
  }
  return { sets: await observeSets(netfilter, table), chains: chains satisfies Map<string, ActualChain> }
}

async function observeSets(netfilter: Talk, table: Table): Promise<Map<string, SetFacts>> {
  const sets = new Map<string, SetFacts>()
  for (const message of await netfilter.dump(dumpSets(table))) {
    const decoded = decodeSet(message)
    if (decoded !== undefined && sameTable(decoded.table, table)) sets.set(decoded.name, decoded.facts)
  }
  return sets
}

/** A table with what its sets hold; undefined where the table is not there. Sets that are missing have no elements. */
export async function observeTable(
  netfilter: Talk,
  { table, sets }: Pick<Ruleset, 'table' | 'sets'>,
): Promise<{ structure: ActualRuleset; elements: ReadonlyMap<string, readonly Element[]> } | undefined> {
  const structure = await observeRuleset(netfilter, table)
  if (structure === undefined) return undefined
  const elements = new Map<string, readonly Element[]>()
  for (const set of sets)
    if (structure.sets.has(set.name)) elements.set(set.name, await observeElements(netfilter, table, set))
  return { structure, elements }
}

/** The elements of a set that is there. */
export async function observeElements(netfilter: Talk, table: Table, set: SetSpec): Promise<Element[]> {
  const messages = await netfilter.dump(dumpElements(table, set.name))
  const elements = messages.flatMap((message) => decodeElements(message, set))
  return set.interval === true && !rangesOfParts(set) ? joinIntervals(elements) : elements
}
