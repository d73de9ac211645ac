import { type Cursor } from './cursor.js'
import { readPortName } from './name.js'

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** TCP where absent, as everywhere in the API. */
export const readProtocol = (place: Cursor): Protocol => place.oneOf(PROTOCOLS, 'TCP')

export const readPort = (place: Cursor): number => place.integer(1, 65_535)

/** A port that 0 or absence leaves open. */
export const readPortIfSet = (place: Cursor): number | undefined =>
  place.value === 0 ? undefined : place.optional(readPort)

/** A port's number, or the name of a container's port. A number in quotes is neither. */
export const readPortOrName = (place: Cursor): number | string =>
  typeof place.value === 'string' ? readPortName(place) : readPort(place)

/** Refuses the second of two ports that have the same `identity`. */
export function refuseTwins<T>(places: Cursor, items: readonly T[], identity: (item: T) => string | undefined): void {
  const seen = new Set<string>()
  items.forEach((item, i) => {
    const id = identity(item)
    if (id === undefined) return
    if (seen.has(id)) throw places.item(i).error(`repeats ${id}`)
    seen.add(id)
  })
}
