import { join } from 'node:path'
import { type Logger } from '../base/log.js'
import { Journal, type Salvaged } from '../ipam/journal-io.js'

/** The journal's name in the state directory. */
export const LEASES = 'leases'

/** Held by whoever works with the leases: an agent as long as it runs, a call without one as long as it takes. */
export const LOCK = 'lock'

/**
 * Opens the leases of a node. A damaged file is put aside and read as far as it can be: a node that attaches nobody any
 * more would be worse.
 * @throws NetloomError `io`
 */
export function openJournal(stateDir: string, log: Logger): Journal {
  const journal = new Journal(join(stateDir, LEASES), { salvage: String(Date.now()) })
  const { tornBytes, salvaged } = journal
  if (salvaged !== undefined) log.error(salvaged, salvagedText(salvaged))
  else if (tornBytes > 0) log.warn({ bytes: tornBytes }, 'a torn record was cut off the journal')
  return journal
}

export const salvagedText = ({ path, lost }: Salvaged): string =>
  `the journal of leases was damaged in ${lost.length} places; what it was is kept as ${path}`
