import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Journal } from '../../src/ipam/journal-io.js'
import { type Lease } from '../../src/model/lease.js'
import { exampleLease } from '../support/lease.js'
import { run, type TestContext } from '../support/node.js'

const lease = (id: number | string): Lease =>
  exampleLease({
    containerId: `container-${id}`,
    netns: `/run/netns/${id}`,
    addresses: ['10.244.1.2', 'fd00:244:1::2'],
    hostInterface: `nlm-${id}`,
  })

/** A file system of a few pages. */
function disk(t: TestContext, ...options: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-disk-'))
  run('mount', '-t', 'tmpfs', '-o', ['size=16k', ...options].join(), 'tmpfs', folder)
  t.teardown(() => {
    run('umount', '-l', folder)
    rmSync(folder, { recursive: true })
  })
  return folder
}

/** Adds leases until it fails; answers the number of those that were taken, and the error. */
function fill(journal: Journal): { count: number; error: unknown } {
  for (let count = 0; ; count++)
    try {
      journal.add(lease(count))
    } catch (error) {
      return { count, error }
    }
}

t.test(
  'a full disk is a clear error, nothing half-written stays, and the journal is of use when there is room',
  async (t) => {
    const folder = disk(t)
    const path = join(folder, 'leases')
    writeFileSync(join(folder, 'other'), Buffer.alloc(4096))
    const journal = new Journal(path)
    const { count, error } = fill(journal)
    t.ok(count > 10, `${count} leases`)
    t.match(error, { code: 'io', errno: 28, operation: new RegExp(`write journal ${path}`), message: /ENOSPC/ })
    t.equal([...journal.leases].length, count, 'the lease that was refused is not there')
    t.throws(() => journal.add(lease('again')), { code: 'io' })
    const size = statSync(path).size
    t.same(wholeLeases(path), count, 'the file holds whole records')
    rmSync(join(folder, 'other'))
    journal.add(lease('later'))
    t.ok(statSync(path).size > size)
    journal.close()
    const reopened = new Journal(path)
    t.equal(reopened.tornBytes, 0)
    t.equal([...reopened.leases].length, count + 1)
    reopened.close()
  },
)

/** How many leases a copy of the file holds. */
function wholeLeases(path: string): number {
  const copy = mkdtempSync(join(tmpdir(), 'netloom-copy-'))
  try {
    writeFileSync(join(copy, 'leases'), readFileSync(path))
    const journal = new Journal(join(copy, 'leases'))
    journal.close()
    return journal.tornBytes === 0 ? [...journal.leases].length : -1
  } finally {
    rmSync(copy, { recursive: true })
  }
}

t.test('on a full disk a lease cannot be released either, and is there still', async (t) => {
  const path = join(disk(t), 'leases')
  const journal = new Journal(path)
  const { count } = fill(journal)
  // What is too small for a lease may be enough for a release: fill up with those that are left.
  let released = 0
  t.throws(() => {
    for (; released < count; released++) journal.remove(lease(released))
  }, { code: 'io' }) // prettier-ignore
  t.equal([...journal.leases].length, count - released)
  journal.close()
})

t.test('a disk that cannot be written to is refused at once, with the reason', async (t) => {
  const folder = disk(t, 'ro')
  t.throws(() => new Journal(join(folder, 'leases')), { code: 'io', errno: 30, message: /EROFS/ })
})
