import { parseCidr } from '../../src/base/ip.js'
import { type Journal } from '../../src/ipam/journal-io.js'
import { Pool } from '../../src/ipam/pool.js'
import { type Lease } from '../../src/model/lease.js'
import { exampleLease } from './lease.js'

/** Little history is tolerated, so that the script has the file written anew several times. */
export const SCRIPT_OPTIONS = { toleratedHistory: 3 }

const SUBNETS = [parseCidr('10.1.0.0/24'), parseCidr('fd00::/64')]

export const poolOf = (journal: Journal): Pool => new Pool(SUBNETS, journal.leases, journal.released)

/** What an agent does of an ADD: chooses, remembers, takes. */
export function give(journal: Journal, pool: Pool, containerId: string): Lease {
  const lease: Lease = { ...exampleLease({ containerId, addresses: [] }), addresses: pool.choose() }
  journal.add(lease)
  pool.add(lease)
  return lease
}

/** `+ID` gives addresses to a container, `-ID` takes them from it. */
const SCRIPT = ['+a', '+b', '-a', '+c', '+d', '-c', '+e', '-b', '-e', '+f', '-d', '-f', '+g', '+h', '-g', '+i']

/**
 * Runs the script on a journal. Each step is told before it is begun and after it has returned; a step that was begun
 * only may have happened or not.
 */
export function runScript(journal: Journal, tell: (line: string) => void): void {
  const pool = poolOf(journal)
  for (const step of SCRIPT) {
    const id = step.slice(1)
    tell(`begin ${step}`)
    if (step.startsWith('+')) give(journal, pool, id)
    else {
      const lease = [...pool.leases.values()].find(({ containerId }) => containerId === id)
      if (lease === undefined) throw new Error(`${id} has no lease`)
      journal.remove(lease)
      pool.remove(lease)
    }
    tell(`done ${step}`)
  }
}

/** What is wrong with a journal after the script ended somewhere; nothing where all is as it was told. */
export function problems(journal: Journal, told: readonly string[]): string[] {
  const there = new Set([...journal.leases].map(({ containerId }) => containerId))
  const expected = new Map<string, boolean>()
  for (const line of told) if (line.startsWith('done ')) expected.set(line.slice(6), line[5] === '+')
  const last = told.at(-1) ?? ''
  if (last.startsWith('begin ')) expected.delete(last.slice(7))
  const wrong = [...expected].filter(([id, is]) => there.has(id) !== is).map(([id]) => `${id} is wrong`)
  const strangers = [...there].filter((id) => !expected.has(id) && id !== last.slice(7))
  return [...wrong, ...strangers.map((id) => `${id} was never told`), ...sharedAddresses(journal)]
}

/** Goes on with the journal and looks whether an address has two owners, on disk or by what is given now. */
function sharedAddresses(journal: Journal): string[] {
  const pool = poolOf(journal)
  for (let i = 0; i < 3; i++) give(journal, pool, `later-${i}`)
  const addresses = [...journal.leases].flatMap(({ addresses }) => addresses.map(({ address }) => address))
  return addresses.filter((address, i) => addresses.indexOf(address) !== i).map((address) => `${address} is shared`)
}
