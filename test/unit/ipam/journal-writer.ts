/**
 * Adds and removes leases forever and says each on standard output once the call has returned; killed by
 * journal-io.test.ts. Arguments: the path of the journal.
 */
import { writeSync } from 'node:fs'
import { Journal } from '../../../src/ipam/journal-io.js'
import { type Lease } from '../../../src/model/lease.js'
import { exampleLease } from '../../support/lease.js'

const [, , path = ''] = process.argv
const journal = new Journal(path)

const lease = (containerId: string): Lease =>
  exampleLease({ containerId, netns: `/run/netns/${containerId}`, addresses: ['10.1.0.2'], hostInterface: 'nlm-x' })

for (let i = 0; ; i++) {
  const one = lease(`${process.pid}-${i}`)
  journal.add(one)
  writeSync(1, `+ ${one.containerId}\n`)
  if (i % 20 === 0) continue
  journal.remove(one)
  writeSync(1, `- ${one.containerId}\n`)
}
