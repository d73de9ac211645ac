import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
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
import { type Disk, Journal, journalFiles, type Salvaged } from '../../../src/ipam/journal-io.js'
import { REMEMBERED } from '../../../src/ipam/resting.js'
import { type Lease } from '../../../src/model/lease.js'
import { seededRandom } from '../../support/cni-exec.js'
import { type Moment, MOMENTS, mortalDisk } from '../../support/disk.js'
import { give, poolOf, problems, runScript, SCRIPT_OPTIONS } from '../../support/journal-script.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'

const lease = (id: number | string, fields: LeaseFields = {}): Lease =>
  exampleLease({
    containerId: `container-${id}`,
    netns: `/run/netns/${id}`,
    hostInterface: `nlm-${id}`,
    pod: `shop/web-${id}`,
    ...(typeof id === 'number' ? { addresses: [`10.1.${id >> 8}.${id & 255}`, `fd00:1::${id}`] } : {}),
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

t.test('a flipped bit anywhere is refused: no lease may be lost unseen', async (t) => {
  const path = place(t)
  const ends = written(path, 3)
  const content = readFileSync(path)
  for (let at = 0; at < content.length; at++) {
    const damaged = flipped(content, at, 1 << (at % 8))
    writeFileSync(path, damaged)
    const record = ends.findIndex((end) => end > at) - 1
    const error = thrown(() => read(path))
    if (error?.code !== 'invalid' || error.field !== 'journal' || !error.message.includes(`record ${record} `))
      t.fail(`byte ${at}: ${error?.message ?? 'was taken'}`)
    if (!readFileSync(path).equals(damaged)) t.fail(`byte ${at}: the file was changed`)
  }
  t.ok(content.length > 300)
})

function flipped(content: Buffer, at: number, bit = 1): Buffer {
  const damaged = Buffer.from(content)
  damaged[at] = (damaged[at] ?? 0) ^ bit
  return damaged
}

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

t.test('the order of release is there again, also when the file was written anew', async (t) => {
  const path = place(t)
  const journal = new Journal(path, { toleratedHistory: 4 })
  for (let i = 1; i < 7; i++) journal.add(lease(i, { addresses: [`10.1.0.${i}`, `fd00::${i}`] }))
  journal.add(lease('foreign', { addresses: ['10.1.0.9'], ipam: 'dhcp' }))
  const sizes = ['foreign', 4, 1, 5, 6, 2].map((id) => {
    journal.remove(lease(id))
    return statSync(path).size
  })
  t.ok(
    sizes.some((size, i) => size < (sizes[i - 1] ?? 0)),
    'it was written anew',
  )
  journal.add(lease('again', { addresses: ['10.1.0.1'] }))
  const order = ['10.1.0.4', 'fd00::4', 'fd00::1', '10.1.0.5', 'fd00::5', '10.1.0.6', 'fd00::6', '10.1.0.2', 'fd00::2']
  t.same([...journal.released], order)
  journal.close()
  const again = new Journal(path)
  t.same([...again.released], order)
  again.close()
})

t.test('what is remembered of releases stays small', async (t) => {
  const path = place(t)
  const journal = new Journal(path)
  for (let i = 0; i < 12_000; i++) {
    const one = lease('churn', { addresses: [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`] })
    journal.add(one)
    journal.remove(one)
  }
  t.equal([...journal.released].length, REMEMBERED)
  t.equal([...journal.released].at(-1), '10.0.46.223')
  t.ok(statSync(path).size < 1_000_000, `${statSync(path).size} bytes`)
  journal.close()
  const again = new Journal(path)
  t.equal([...again.released].length, REMEMBERED)
  again.close()
})

class Killed extends Error {}

const die = (): never => {
  throw new Killed('killed')
}

/** Runs the script until a system call, and answers what is wrong with what is left. */
function endAt(t: { teardown: (work: () => void) => void }, step: number, moment: Moment): readonly string[] {
  const path = place(t)
  const { disk, isDead, bury } = mortalDisk(step, moment, die)
  const told: string[] = []
  try {
    runScript(new Journal(path, { ...SCRIPT_OPTIONS, disk }), (line) => {
      if (isDead()) die()
      told.push(line)
    })
  } catch (error) {
    if (!isDead()) throw error
  }
  bury()
  const journal = new Journal(path, SCRIPT_OPTIONS)
  const wrong = problems(journal, told)
  journal.close()
  return wrong
}

t.test(
  'ended before, within and after each system call of add, remove and writing anew: nothing is lost',
  async (t) => {
    const { disk, steps } = mortalDisk(Infinity, 'before', die)
    const path = place(t)
    const journal = new Journal(path, { ...SCRIPT_OPTIONS, disk })
    runScript(journal, () => undefined)
    journal.close()
    t.ok(steps() > 30, `${steps()} steps`)
    for (let step = 1; step <= steps(); step++)
      for (const moment of MOMENTS) {
        const wrong = endAt(t, step, moment)
        if (wrong.length > 0) t.fail(`${moment} step ${step}: ${wrong.join(', ')}`)
      }
  },
)

/** A disk on which a call fails as long as it is told to. */
function failingDisk(): { disk: Disk; fail: Set<keyof Disk> } {
  const fail = new Set<keyof Disk>()
  const disk = Object.fromEntries(
    (Object.keys(mortalDisk(Infinity, 'before', die).disk) as (keyof Disk)[]).map((name) => [
      name,
      (...args: unknown[]): unknown => {
        if (fail.has(name)) throw Object.assign(new Error(`EIO: i/o error, ${name}`), { errno: -5, code: 'EIO' })
        return (fs[name] as (...args: unknown[]) => unknown)(...args)
      },
    ]),
  ) as unknown as Disk
  return { disk, fail }
}

t.test('a disk that fails is an error with its number and the path, and no address is given twice', async (t) => {
  const path = place(t)
  const { disk, fail } = failingDisk()
  const journal = new Journal(path, { disk })
  const pool = poolOf(journal)
  give(journal, pool, 'a')
  fail.add('writeSync').add('ftruncateSync')
  t.throws(() => give(journal, pool, 'b'), { code: 'io', errno: 5, operation: `write journal ${path}` })
  t.throws(() => journal.remove(pool.leases.values().next().value!), { code: 'io' })
  t.same([...journal.leases].length, 1)
  fail.delete('writeSync')
  t.throws(() => give(journal, pool, 'b'), { code: 'io' }, 'what may be torn has to go before the next record')
  fail.clear()
  give(journal, pool, 'c')
  journal.close()
  const again = new Journal(path)
  t.same(problems(again, ['done +a', 'done +c']), [])
  again.close()
})

t.test('a record that could be neither written nor taken back does not stand before the next', async (t) => {
  const path = place(t)
  const { disk, fail } = failingDisk()
  const half: Disk = {
    ...disk,
    writeSync: ((fd: number, bytes: Buffer, offset: number) =>
      fail.has('writeSync') && offset > 0
        ? disk.writeSync(fd, bytes, offset)
        : fs.writeSync(fd, bytes, offset, fail.has('writeSync') ? 20 : undefined)) as Disk['writeSync'],
  }
  const journal = new Journal(path, { disk: half })
  journal.add(lease(1))
  fail.add('writeSync').add('ftruncateSync')
  t.throws(() => journal.add(lease(2)), { code: 'io' })
  fail.clear()
  journal.add(lease(3))
  journal.close()
  t.same(read(path), { ids: ['container-1', 'container-3'], torn: 0 })
})

/** Does not wait for the disk: for tests that do nothing else. */
const HASTY: Disk = { ...fs, fsyncSync: () => undefined }

interface Rescued {
  readonly ids: readonly string[]
  readonly salvaged: Salvaged | undefined
}

function rescue(path: string): Rescued {
  const journal = new Journal(path, { salvage: 'now', disk: HASTY })
  const ids = [...journal.leases].map(({ containerId }) => containerId)
  journal.close()
  return { ids, salvaged: journal.salvaged }
}

t.test('salvage: damage anywhere loses the record that it is in, and says which; the damaged file stays', async (t) => {
  const path = place(t)
  const ends = written(path, 4)
  const content = readFileSync(path)
  for (let at = 0; at < content.length; at += 5) {
    const damaged = flipped(content, at)
    writeFileSync(path, damaged)
    const { ids, salvaged } = rescue(path)
    const record = ends.findIndex((end) => end > at) - 1
    const expected = [0, 1, 2, 3].filter((id) => id !== record).map((id) => `container-${id}`)
    if (ids.join() !== expected.join()) t.fail(`byte ${at}: ${ids.join()}`)
    const lost = [{ at: ends[record], bytes: ends[record + 1]! - ends[record]!, record }]
    if (
      !isSame(
        salvaged?.lost.map(({ at, bytes, record }) => ({ at, bytes, record })),
        lost,
      )
    )
      t.fail(`byte ${at}: ${JSON.stringify(salvaged?.lost)} and not ${JSON.stringify(lost)}`)
    if (!readFileSync(`${path}.damaged-now`).equals(damaged)) t.fail(`byte ${at}: the damaged file is another`)
    if (read(path).ids.join() !== expected.join()) t.fail(`byte ${at}: not there again`)
    rmSync(`${path}.damaged-now`)
  }
  t.ok(content.length > 400)
  t.same(readdirSync(join(path, '..')), ['leases'])
})

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

t.test('salvage: a part that is missing, overwritten or doubled costs the records that it touches', async (t) => {
  const path = place(t)
  const ends = written(path, 6)
  const content = readFileSync(path)
  const [from, to] = [ends[2]! + 30, ends[3]! + 40]
  const DAMAGES: Readonly<Record<string, Buffer>> = {
    missing: Buffer.concat([content.subarray(0, from), content.subarray(to)]),
    zeros: Buffer.concat([content.subarray(0, from), Buffer.alloc(to - from), content.subarray(to)]),
    noise: Buffer.concat([content.subarray(0, from), Buffer.alloc(to - from, 0xa5), content.subarray(to)]),
    doubled: Buffer.concat([content.subarray(0, from), content.subarray(from, to), content.subarray(from)]),
  }
  for (const [name, damaged] of Object.entries(DAMAGES)) {
    writeFileSync(path, damaged)
    const { ids, salvaged } = rescue(path)
    const kept = name === 'doubled' ? [0, 1, 2, 3, 4, 5] : [0, 1, 4, 5]
    t.same(ids, kept.map((id) => `container-${id}`), name) // prettier-ignore
    t.ok((salvaged?.lost.length ?? 0) > 0, name)
    rmSync(`${path}.damaged-now`)
  }
})

t.test('salvage: a lease whose release was lost gives way to the later one with its address', async (t) => {
  const path = place(t)
  const journal = new Journal(path)
  journal.add(lease(1, { addresses: ['10.1.0.2', 'fd00::2'] }))
  const release = statSync(path).size
  journal.remove(lease(1))
  journal.add(lease(2, { addresses: ['10.1.0.2', 'fd00::3'] }))
  journal.close()
  writeFileSync(path, flipped(readFileSync(path), release + 20))
  const { ids, salvaged } = rescue(path)
  t.same(ids, ['container-2'])
  t.same(salvaged?.superseded.map(({ containerId }) => containerId), ['container-1']) // prettier-ignore
  const again = new Journal(path)
  t.same([...again.released], ['fd00::2'])
  t.doesNotThrow(() => poolOf(again))
  again.close()
})

t.test('salvage: a journal that is whole, or torn, is opened as ever', async (t) => {
  const path = place(t)
  written(path, 2)
  t.same(rescue(path), { ids: ['container-0', 'container-1'], salvaged: undefined })
  truncateSync(path, statSync(path).size - 3)
  t.same(rescue(path), { ids: ['container-0'], salvaged: undefined })
  t.same(readdirSync(join(path, '..')), ['leases'])
})

t.test(
  'salvage: ended at each system call, the damaged file is at one of its two names, and can be salvaged',
  async (t) => {
    for (let step = 1, dead = true; dead; step++)
      for (const moment of MOMENTS) {
        const path = place(t)
        const ends = written(path, 3)
        const damaged = flipped(readFileSync(path), ends[1]! + 20)
        writeFileSync(path, damaged)
        const { disk, isDead, bury } = mortalDisk(step, moment, die)
        try {
          new Journal(path, { salvage: 'first', disk }).close()
        } catch (error) {
          if (!isDead()) throw error
        }
        dead = isDead()
        bury()
        const { ids } = rescue(path)
        if (ids.join() !== 'container-0,container-2') t.fail(`${moment} step ${step}: ${ids.join()}`)
        const kept = journalFiles(path).slice(2)
        if (!kept.some((file) => readFileSync(file).equals(damaged))) t.fail(`${moment} step ${step}: nothing was kept`)
      }
  },
)

t.test('uninstall finds damaged files that were set aside, and nothing else', async (t) => {
  const path = place(t)
  t.same(journalFiles(path), [path, `${path}.new`])
  mkdirSync(join(path, '..'), { recursive: true })
  for (const name of ['leases.damaged-1', 'leases.damaged-2', 'leases.old', 'other.damaged-1'])
    writeFileSync(join(path, '..', name), '')
  t.same(journalFiles(path).slice(2).sort(), [`${path}.damaged-1`, `${path}.damaged-2`])
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
  // A slow disk lets a round do next to nothing.
  for (let round = 0; round < 12 || known.size <= 100; round++) {
    const told = await writeUntilKilled(path, random() * 60)
    for (const [id, there] of told) known.set(id, there)
    const ids = new Set(read(path).ids)
    // The last call may have been done without having been told.
    const wrong = [...known].filter(([id, there]) => ids.has(id) !== there)
    const unknown = [...ids].filter((id) => !known.has(id))
    t.ok(wrong.length + unknown.length <= 1, `round ${round}: ${[...wrong.map(([id]) => id), ...unknown].join()} wrong`)
    for (const [id] of wrong) known.set(id, ids.has(id))
    for (const id of unknown) known.set(id, true)
  }
})
