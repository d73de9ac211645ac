import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Journal } from '../../../src/ipam/journal-io.js'
import { type Lease } from '../../../src/model/lease.js'
import { seededRandom } from '../../support/cni-exec.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'

const lease = (id: number | string, fields: LeaseFields = {}): Lease =>
  exampleLease({
    containerId: `container-${id}`,
    netns: `/run/netns/${id}`,
    hostInterface: `nlm-${id}`,
    pod: `shop/web-${id}`,
    ...fields,
  })

/** A path for a journal, in a folder that goes with the test. */
function place(t: { teardown: (work: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-journal-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'state', 'leases')
}

/** Opens, looks, closes. */
function read(path: string): { ids: string[]; torn: number } {
  const journal = new Journal(path)
  const ids = [...journal.leases].map(({ containerId }) => containerId)
  journal.close()
  return { ids, torn: journal.tornBytes }
}

/** The bytes of a journal after each of some steps. */
function written(path: string, count: number): number[] {
  const journal = new Journal(path)
  const ends = [0]
  for (let i = 0; i < count; i++) {
    journal.add(lease(i))
    ends.push(statSync(path).size)
  }
  journal.close()
  return ends
}

t.test('leases are there again when the journal is opened again, in their order, with all they hold', async (t) => {
  const path = place(t)
  const journal = new Journal(path)
  const { pod, ...without } = lease(3)
  t.ok(pod)
  for (const one of [lease(1), lease(2), without]) journal.add(one)
  journal.remove(lease(1))
  journal.remove(lease(9))
  journal.add(lease(2, { addresses: ['10.1.0.9'] }))
  journal.close()
  const again = new Journal(path)
  t.same([...again.leases], [without, lease(2, { addresses: ['10.1.0.9'] })], 'the one given last stands last')
  t.equal(again.tornBytes, 0)
  again.close()
})

t.test('only root may read it', async (t) => {
  const path = place(t)
  new Journal(path).close()
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
})

t.test('a record torn at any byte is cut off, and what stands before it is kept', async (t) => {
  const path = place(t)
  const ends = written(path, 3)
  const content = readFileSync(path)
  for (let size = 0; size <= content.length; size++) {
    writeFileSync(path, content.subarray(0, size))
    const whole = ends.filter((end) => end > 0 && end <= size).length
    const { ids, torn } = read(path)
    if (ids.length !== whole || torn !== size - ends[whole]!) t.fail(`cut to ${size} bytes: ${ids.length} leases`)
    if (statSync(path).size !== ends[whole]) t.fail(`cut to ${size} bytes: the torn record is still there`)
  }
  t.ok(content.length > 300)
})

t.test('a journal goes on behind a torn record', async (t) => {
  const path = place(t)
  written(path, 2)
  truncateSync(path, statSync(path).size - 3)
  const journal = new Journal(path)
  t.ok(journal.tornBytes > 0)
  journal.add(lease('new'))
  journal.close()
  t.same(read(path), { ids: ['container-0', 'container-new'], torn: 0 })
})

t.test('zeros behind the last record, as a power failure leaves them, are cut off', async (t) => {
  const path = place(t)
  written(path, 2)
  const content = readFileSync(path)
  for (const zeros of [1, 7, 8, 12, 4096]) {
    writeFileSync(path, Buffer.concat([content, Buffer.alloc(zeros)]))
    t.same(read(path), { ids: ['container-0', 'container-1'], torn: zeros })
  }
})

t.test('a flipped bit anywhere before the last record is refused: nothing behind it may be lost unseen', async (t) => {
  const path = place(t)
  const ends = written(path, 3)
  const content = readFileSync(path)
  for (let at = 0; at < ends[2]!; at++) {
    for (const bit of [0x01, 0x80]) {
      const damaged = Buffer.from(content)
      damaged[at] = (damaged[at] ?? 0) ^ bit
      writeFileSync(path, damaged)
      const record = ends.findIndex((end) => end > at) - 1
      const error = thrown(() => read(path))
      if (error?.code !== 'invalid' || error.field !== 'journal' || !error.message.includes(`record ${record} `))
        t.fail(`bit ${bit} of byte ${at}: ${error?.message ?? 'was taken'}`)
      if (!readFileSync(path).equals(damaged)) t.fail(`byte ${at}: the file was changed`)
    }
  }
  t.ok(ends[2]! > 200)
})

interface Thrown {
  readonly code?: string
  readonly field?: string
  readonly errno?: number
  readonly message: string
}

function thrown(work: () => unknown): Thrown | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error as Thrown
  }
}

t.test('a file that is no journal is refused and stays as it is', async (t) => {
  const path = place(t)
  mkdirSync(join(path, '..'), { recursive: true })
  for (const text of ['not a journal at all, but somebody’s notes\n', '{"leases":[]}']) {
    writeFileSync(path, text)
    t.throws(() => new Journal(path), { code: 'invalid', field: 'journal' })
    t.equal(readFileSync(path, 'utf8'), text)
  }
})

t.test('a lease too large to be read again is not written', async (t) => {
  const path = place(t)
  const journal = new Journal(path)
  journal.add(lease(1))
  t.throws(() => journal.add(lease(2, { containerId: 'x'.repeat(70_000) })), { code: 'invalid', field: 'lease' })
  t.same([...journal.leases], [lease(1)])
  journal.close()
  t.same(read(path).ids, ['container-1'])
})

t.test('the file is written anew when most of it is history, and keeps everything', async (t) => {
  const path = place(t)
  const journal = new Journal(path)
  const sizes: number[] = []
  for (let i = 0; i < 20; i++) journal.add(lease(`stays-${i}`))
  for (let i = 0; i < 3000; i++) {
    journal.add(lease(`goes-${i}`))
    journal.remove(lease(`goes-${i}`))
    sizes.push(statSync(path).size)
  }
  journal.add(lease('last'))
  journal.close()
  const once = sizes[0]! / 22
  t.ok(Math.max(...sizes) < once * 1200, `${Math.max(...sizes)} bytes at most`)
  t.ok(
    sizes.some((size, i) => size < (sizes[i - 1] ?? 0)),
    'it shrank',
  )
  t.same(read(path).ids, [...Array.from({ length: 20 }, (_, i) => `container-stays-${i}`), 'container-last'])
  t.same(readdirSync(join(path, '..')), ['leases'], 'nothing is left beside it')
})

t.test('a file that cannot be written anew is no reason to keep a lease', async (t) => {
  const path = place(t)
  const journal = new Journal(path)
  // A folder in its place: the new file cannot be made.
  mkdirSync(`${path}.new`)
  for (let i = 0; i < 1500; i++) {
    journal.add(lease(i))
    journal.remove(lease(i))
  }
  journal.add(lease('last'))
  t.match(journal.rewriteError, { code: 'io' })
  rmSync(`${path}.new`, { recursive: true })
  for (let i = 0; i < 1500; i++) {
    journal.add(lease(i))
    journal.remove(lease(i))
  }
  t.equal(journal.rewriteError, undefined, 'and it is tried again')
  journal.close()
  t.same(read(path).ids, ['container-last'])
})

t.test('what an earlier agent left of a new file is no harm', async (t) => {
  const path = place(t)
  written(path, 1)
  writeFileSync(`${path}.new`, 'half')
  t.same(read(path).ids, ['container-0'])
  t.notOk(existsSync(`${path}.new`))
})

t.test('a folder that cannot be written to says so, with the path', async (t) => {
  const path = place(t)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(join(path, '..', 'file'), '')
  t.throws(() => new Journal(join(path, '..', 'file', 'leases')), {
    code: 'io',
    operation: /open journal/,
    message: /ENOTDIR|EEXIST/,
  })
  if (process.getuid?.() === 0) return
  chmodSync(join(path, '..'), 0o500)
  t.throws(() => new Journal(path), { code: 'io', errno: 13 })
})

const WRITER = fileURLToPath(new URL('./journal-writer.js', import.meta.url))

/** Runs a process that adds and removes leases forever and tells of each that returned, until it is killed. */
async function writeUntilKilled(path: string, afterMs: number): Promise<Map<string, boolean>> {
  const child = spawn(process.execPath, [WRITER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const told = new Map<string, boolean>()
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    const [verb, id = ''] = line.split(' ')
    told.set(id, verb === '+')
    if (told.size === 1) setTimeout(() => child.kill('SIGKILL'), afterMs)
  })
  await Promise.all([once(child, 'exit'), once(lines, 'close')])
  return told
}

t.test('killed at any moment: every lease whose add() returned is there, every removed one is not', async (t) => {
  const path = place(t)
  const random = seededRandom(7)
  const known = new Map<string, boolean>()
  for (let round = 0; round < 12; round++) {
    const told = await writeUntilKilled(path, random() * 60)
    for (const [id, there] of told) known.set(id, there)
    const ids = new Set(read(path).ids)
    // The last call may have been done without having been told.
    const wrong = [...known].filter(([id, there]) => ids.has(id) !== there)
    const unknown = [...ids].filter((id) => !known.has(id))
    t.ok(wrong.length + unknown.length <= 1, `round ${round}: ${wrong.length} of ${told.size} wrong`)
    for (const [id] of wrong) known.set(id, ids.has(id))
    for (const id of unknown) known.set(id, true)
  }
  t.ok(known.size > 100, `${known.size} leases`)
})
