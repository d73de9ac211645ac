import { setTimeout as sleep } from 'node:timers/promises'
import { asNetloomError, type NetloomError } from '../base/errors.js'
import { decodeAddress, type Address } from '../codec/rtnl/address.js'
import { RTM, RTNLGRP } from '../codec/rtnl/constants.js'
import { decodeFdb, decodeNeighbour, type FdbEntry, type Neighbour } from '../codec/rtnl/neighbour.js'
import { decodeRoute, type Route } from '../codec/rtnl/route.js'
import { NFTABLES_GROUP } from '../codec/nft/constants.js'
import { decodeGeneration, readAttributes, readFamily, type Table, tableText } from '../codec/nft/table.js'
import { type Message, messages } from '../codec/wire.js'
import { openSocket, PROTOCOL, type OpenTransport, type Transport } from './socket.js'

/** Listening to what changes in the kernel, whoever changes it. */

/** Bytes of notifications that the kernel may queue for us. */
const QUEUE_BYTES = 4 << 20

/** One change of the network's configuration; `gone` where the thing was taken away. */
export type NetworkEvent =
  | { readonly kind: 'address'; readonly gone: boolean; readonly address: Address }
  | { readonly kind: 'route'; readonly gone: boolean; readonly route: Route }
  /** Of the links that the listener named alone. */
  | { readonly kind: 'neighbour'; readonly gone: boolean; readonly neighbour: Neighbour }
  | { readonly kind: 'fdb'; readonly gone: boolean; readonly entry: FdbEntry }
  /** Notifications were lost: anything may have changed. */
  | { readonly kind: 'lost'; readonly error: NetloomError }

export type NetworkListener = (event: NetworkEvent) => void

/** Whether somebody wants to know of the neighbours of a link; by its index. */
export type NeighboursWanted = (index: number) => boolean

/** Not RTNLGRP_LINK: a pod's link alone is some fifteen notifications, and who wants to know of one can ask. */
const NETWORK_GROUPS = [RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR, RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE, RTNLGRP.NEIGH]

export const openNetworkGroups = openSocket({
  protocol: PROTOCOL.ROUTE,
  groups: NETWORK_GROUPS,
  bufferBytes: QUEUE_BYTES,
  keepAlive: false,
})

export interface NetworkListening {
  readonly neighboursOf?: NeighboursWanted
  readonly open?: OpenTransport
}

/** Listens to addresses and routes, and to neighbours and forwarding entries of chosen links. */
export function monitorNetwork(listener: NetworkListener, options: NetworkListening = {}): Transport {
  const { neighboursOf = () => false, open = openNetworkGroups } = options
  const decode = (message: Message): NetworkEvent | undefined =>
    networkEvent(message) ?? linkEvent(message, neighboursOf)
  return open({
    datagram: (bytes) => {
      for (const event of decoded(bytes, decode, (error) => ({ kind: 'lost', error }) as const)) listener(event)
    },
    failed: (error) => listener({ kind: 'lost', error }),
  })
}

/** What a datagram tells; `lost` in the place of the rest where it is malformed. */
function decoded<T>(bytes: Buffer, decode: (message: Message) => T | undefined, lost: (error: NetloomError) => T): T[] {
  const events: T[] = []
  try {
    for (const message of messages(bytes)) {
      const event = decode(message)
      if (event !== undefined) events.push(event)
    }
  } catch (error) {
    events.push(lost(asNetloomError(error, 'read notifications')))
  }
  return events
}

function networkEvent({ type, payload }: Message): NetworkEvent | undefined {
  if (type === RTM.NEWADDR || type === RTM.DELADDR) {
    const address = decodeAddress(payload)
    return address === undefined ? undefined : { kind: 'address', gone: type === RTM.DELADDR, address }
  }
  if (type === RTM.NEWROUTE || type === RTM.DELROUTE) {
    const route = decodeRoute(payload)
    return route === undefined ? undefined : { kind: 'route', gone: type === RTM.DELROUTE, route }
  }
  return undefined
}

/** Of ndm_ifindex in struct ndmsg. */
const NEIGHBOUR_INDEX = 4

/** Most neighbours are those of other links, which come and go all the time: nothing else of them is looked at. */
function linkEvent({ type, payload }: Message, wanted: NeighboursWanted): NetworkEvent | undefined {
  if (type !== RTM.NEWNEIGH && type !== RTM.DELNEIGH) return undefined
  if (payload.length < NEIGHBOUR_INDEX + 4 || !wanted(payload.readUInt32LE(NEIGHBOUR_INDEX))) return undefined
  const gone = type === RTM.DELNEIGH
  const neighbour = decodeNeighbour(payload)
  if (neighbour !== undefined) return { kind: 'neighbour', gone, neighbour }
  const entry = decodeFdb(payload)
  return entry === undefined ? undefined : { kind: 'fdb', gone, entry }
}

export const openRulesetGroup = openSocket({
  protocol: PROTOCOL.NETFILTER,
  groups: [NFTABLES_GROUP],
  bufferBytes: QUEUE_BYTES,
  keepAlive: false,
})

export interface RulesetListener {
  /** True where a generation of the ruleset was made by ourselves. */
  readonly isOwn: (generation: number) => boolean
  /** Somebody else changed a table; undefined where notifications were lost, so it may be any. */
  readonly changed: (table: Table | undefined) => void
  /** Asks which generation the kernel is at. Without it, what is lost is always told. */
  readonly generation?: () => Promise<number>
}

/** Time for our own transaction's answer to arrive, which may be behind its notifications; milliseconds. */
const SETTLE_MS = 20

/** All messages about rulesets carry their table's name in attribute 1. */
const TABLE_NAME = 1

/**
 * Listens to rulesets. The kernel tells each change and then the number of the generation that they are in; by that
 * number our own changes are told from those of others.
 *
 * Large changes of our own are more than the queue holds, 100,000 elements for instance. So what is lost is told only
 * where it may have been somebody else's: where a generation since the last that was heard is none of ours.
 */
export function monitorRuleset(listener: RulesetListener, open: OpenTransport = openRulesetGroup): Transport {
  let touched = new Map<string, Table>()
  let listening = true
  const losses = new Losses(listener)
  const settle = (generation: number): void => {
    const tables = touched
    touched = new Map()
    losses.heard(generation)
    if (tables.size === 0) return
    setTimeout(() => {
      if (listening && !listener.isOwn(generation)) for (const table of tables.values()) listener.changed(table)
    }, SETTLE_MS).unref()
  }
  const lost = (): void => {
    touched.clear()
    losses.add()
  }
  const transport = open({
    datagram: (bytes) => {
      for (const event of decoded<RulesetEvent>(bytes, rulesetEvent, () => 'lost')) {
        if (event === 'lost') lost()
        else if (typeof event === 'number') settle(event)
        else touched.set(tableText(event), event)
      }
    },
    failed: lost,
  })
  return {
    ...transport,
    close: () => {
      listening = false
      losses.close()
      transport.close()
    },
  }
}

/** Finds out whether what was lost was somebody else's. */
class Losses {
  readonly #listener: RulesetListener
  /** Nothing up to this generation was lost, or what was lost was ours. */
  #complete: number | undefined
  #busy = false
  /** How often something was lost. */
  #count = 0
  #closed = false

  constructor(listener: RulesetListener) {
    this.#listener = listener
  }

  heard(generation: number): void {
    if (!this.#busy) this.#complete = generation
  }

  add(): void {
    const { generation, changed } = this.#listener
    this.#count++
    if (generation === undefined) changed(undefined)
    else if (!this.#busy) void this.#examine(generation)
  }

  close(): void {
    this.#closed = true
  }

  async #examine(generation: () => Promise<number>): Promise<void> {
    this.#busy = true
    let count: number
    do {
      count = this.#count
      // Where the kernel does not say, anybody may have done anything.
      const now = await generation().catch(() => undefined)
      // Numbers of our own may still be on their way.
      await sleep(SETTLE_MS, undefined, { ref: false })
      if (this.#closed) return
      if (!this.#areOwn(this.#complete, now)) this.#listener.changed(undefined)
      this.#complete = now
    } while (count !== this.#count)
    this.#busy = false
  }

  /** Whether all generations behind one and up to another are ours. */
  #areOwn(from: number | undefined, to: number | undefined): boolean {
    if (from === undefined || to === undefined || to < from) return false
    // Of others there may be any number, and of ours not all are remembered: the first that is not known ends it.
    for (let number = from + 1; number <= to; number++) if (!this.#listener.isOwn(number)) return false
    return true
  }
}

/** A table that was touched, or the number of the generation that all of the touches before it made. */
type RulesetEvent = Table | number | 'lost'

function rulesetEvent(message: Message): RulesetEvent | undefined {
  const generation = decodeGeneration(message)
  if (generation !== undefined) return generation
  const family = readFamily(message)
  const name = readAttributes(message).string(TABLE_NAME)
  return family === undefined || name === undefined ? undefined : { family, name }
}
