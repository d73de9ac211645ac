import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Journal } from '../../src/ipam/journal-io.js'
import { type Lease } from '../../src/model/lease.js'
import { give, poolOf, problems, SCRIPT_OPTIONS } from '../support/journal-script.js'
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

t.test('on a disk that becomes full and has room again no address is given twice', async (t) => {
  const folder = disk(t)
  const path = join(folder, 'leases')
  const journal = new Journal(path)
  const pool = poolOf(journal)
  const told: string[] = []
  give(journal, pool, 'a')
  writeFileSync(join(folder, 'other'), Buffer.alloc(8192))
  t.throws(() => {
    for (let i = 0; ; i++) {
      give(journal, pool, `b${i}`)
      told.push(`done +b${i}`)
    }
  }, { code: 'io', errno: 28 }) // prettier-ignore
  rmSync(join(folder, 'other'))
  give(journal, pool, 'c')
  t.same(problems(journal, ['done +a', ...told, 'done +c']), [])
  journal.close()
})

t.test('a damaged journal on a full disk cannot be salvaged, and is left as it is', async (t) => {
  const folder = disk(t)
  const path = join(folder, 'leases')
  const journal = new Journal(path)
  const { count } = fill(journal)
  journal.close()
  const content = readFileSync(path)
  content[20] = (content[20] ?? 0) ^ 1
  writeFileSync(path, content)
  t.throws(() => new Journal(path, { salvage: 'now' }), { code: 'io', errno: 28 })
  t.ok(readFileSync(path).equals(content))
  run('mount', '-o', 'remount,size=64k', folder)
  const salvaged = new Journal(path, { salvage: 'later' })
  t.equal([...salvaged.leases].length, 1, 'all had the same addresses, so the last one has them')
  t.equal(salvaged.salvaged?.superseded.length, count - 2)
  salvaged.close()
})

const VICTIM = fileURLToPath(new URL('./journal-victim.js', import.meta.url))

t.test('killed within each system call of add, remove and writing anew: nothing is lost', async (t) => {
  for (let step = 1, killed = true; killed; step++) {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-killed-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'leases')
    const child = spawnSync(process.execPath, [VICTIM, path, String(step)], { encoding: 'utf8' })
    killed = child.signal === 'SIGKILL'
    if (!killed) t.equal(child.status, 0, child.stderr)
    const journal = new Journal(path, SCRIPT_OPTIONS)
    t.same(problems(journal, child.stdout.split('\n').filter(Boolean)), [], `at system call ${step}`)
    journal.close()
  }
})
