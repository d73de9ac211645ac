import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { type Attachment, type Lease } from '../model/lease.js'
import { Ledger } from './ledger.js'
import { type Contents, encodeRecord, type JournalRecord, type LostPart, readRecords } from './record.js'

/**
 * The leases of a node on disk: a file of records (record.ts) that is only ever appended to, one record for each lease
 * given and one for each released.
 *
 * A crash in the middle of a write leaves a torn last record, which is cut off at the next start: its lease was not
 * used yet. The file is written anew, beside itself and renamed, when most of it is history; the order in which
 * addresses were released stays in it. One process at a time has it open.
 */

/** The system calls of a journal, so that a test can end them at any of their steps. */
export type Disk = Pick<
  typeof fs,
  | 'closeSync'
  | 'fstatSync'
  | 'fsyncSync'
  | 'ftruncateSync'
  | 'linkSync'
  | 'mkdirSync'
  | 'openSync'
  | 'readFileSync'
  | 'renameSync'
  | 'rmSync'
  | 'writeSync'
>

export interface JournalOptions {
  /**
   * Opens a damaged journal as well, with all that can be read of it. The damaged file stays, as `PATH.damaged-STAMP`
   * with this for the stamp; {@link Journal.salvaged} tells what was lost.
   */
  readonly salvage?: string
  readonly disk?: Disk
  /** Records of history that are not worth writing the file anew. */
  readonly toleratedHistory?: number
}

/** What a journal that was damaged has lost. */
export interface Salvaged {
  /** Path of the damaged file. */
  readonly path: string
  /** Each may have been a lease that is in use, or a release: whoever was released in it is back. */
  readonly lost: readonly LostPart[]
  /** Leases that were given up, because a later one has an address of theirs: their release was lost. */
  readonly superseded: readonly Lease[]
}

const { O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants

export class Journal {
  readonly #path: string
  readonly #disk: Disk
  readonly #toleratedHistory: number
  readonly #ledger = new Ledger()
  #fd: number
  /** Of whole records. */
  #bytes = 0
  /** Records in the file; what exceeds the number of leases is history. */
  #records = 0
  /** History at which the file is written anew. */
  #tolerated: number
  /** The file may end in a part of a record, which must go before the next one is written. */
  #torn = false
  #rewriteError: NetloomError | undefined
  /** Told what was found to be torn when the file was opened. */
  readonly tornBytes: number
  /** What was lost, where the file was damaged and opened all the same. */
  readonly salvaged: Salvaged | undefined

  /**
   * Opens or creates the journal and reads it.
   * @throws NetloomError `io`; `invalid` with the field `journal` where the file is damaged, or is no journal
   */
  constructor(path: string, { salvage, disk = fs, toleratedHistory = 1000 }: JournalOptions = {}) {
    this.#path = path
    this.#disk = disk
    this.#toleratedHistory = this.#tolerated = toleratedHistory
    this.#fd = this.#open()
    try {
      const contents = readRecords(disk.readFileSync(this.#fd))
      const [damage] = contents.lost
      if (damage !== undefined && salvage === undefined) throw damaged(path, damage)
      for (const record of contents.records) this.#ledger.apply(record)
      this.tornBytes = disk.fstatSync(this.#fd).size - contents.bytes
      if (damage === undefined || salvage === undefined) this.#takeOver(contents)
      else this.salvaged = this.#salvage(`${path}.damaged-${salvage}`, contents.lost)
    } catch (error) {
      disk.closeSync(this.#fd)
      throw asNetloomError(error, `read journal ${path}`)
    }
  }

  #open(): number {
    try {
      this.#disk.mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
      return this.#disk.openSync(this.#path, O_RDWR | O_CREAT | O_APPEND, 0o600)
    } catch (error) {
      throw asNetloomError(error, `open journal ${this.#path}`)
    }
  }

  #takeOver({ bytes, records }: Contents): void {
    if (this.tornBytes > 0) this.#disk.ftruncateSync(this.#fd, bytes)
    this.#bytes = bytes
    this.#records = records.length
    // An earlier agent may have ended while it wrote the file anew.
    if (isFile(temporaryOf(this.#path))) this.#disk.rmSync(temporaryOf(this.#path))
  }

  /** The damaged file gets a second name before the new one takes its first: at every moment there is one at the path. */
  #salvage(aside: string, lost: readonly LostPart[]): Salvaged {
    const superseded = this.#ledger.dropSuperseded()
    this.#disk.linkSync(this.#path, aside)
    this.#writeAnew()
    return { path: aside, lost, superseded }
  }

  /** In the order in which they were given. */
  get leases(): Iterable<Lease> {
    return this.#ledger.leases.values()
  }

  /** Addresses that nobody has, in the order in which they were released, as far as it is remembered. */
  get released(): Iterable<string> {
    return this.#ledger.released
  }

  /** Why the file could not be written anew the last time; it grows, and is right, until that works again. */
  get rewriteError(): NetloomError | undefined {
    return this.#rewriteError
  }

  /**
   * Remembers a lease. When it returns, a crash of the agent cannot make it forgotten; when it throws, nothing of it is
   * there.
   * @throws NetloomError `io`; `invalid` for a lease that is too large
   */
  add(lease: Lease): void {
    this.#append({ add: lease })
  }

  /** @throws NetloomError `io`; the lease is there still */
  remove(attachment: Attachment): void {
    if (!this.#ledger.has(attachment)) return
    const { network, containerId, ifname } = attachment
    this.#append({ remove: { network, containerId, ifname } })
    if (this.#records > 2 * this.#ledger.leases.size + this.#tolerated) this.#tryToWriteAnew()
  }

  close(): void {
    this.#disk.closeSync(this.#fd)
  }

  #append(record: JournalRecord): void {
    const bytes = encodeRecord(record)
    try {
      this.#cutTorn()
      this.#torn = true
      this.#write(this.#fd, bytes)
      this.#torn = false
    } catch (error) {
      this.#takeBack()
      throw asNetloomError(error, `write journal ${this.#path}`)
    }
    this.#bytes += bytes.length
    this.#records++
    this.#ledger.apply(record)
  }

  /** What a full disk left of a record is taken back, so that the next one does not follow a torn one. */
  #takeBack(): void {
    try {
      this.#cutTorn()
    } catch {
      // It is tried again before the next record; the reader of a file that ends here cuts it off as well.
    }
  }

  #cutTorn(): void {
    if (!this.#torn) return
    this.#disk.ftruncateSync(this.#fd, this.#bytes)
    this.#torn = false
  }

  /** A disk that becomes full takes a part, and says so when it is given the rest. */
  #write(fd: number, bytes: Buffer): void {
    for (let written = 0; written < bytes.length;) written += this.#disk.writeSync(fd, bytes, written)
  }

  /** Without success the file stays as it is: it is right, only long. */
  #tryToWriteAnew(): void {
    try {
      this.#writeAnew()
      this.#tolerated = this.#toleratedHistory
      this.#rewriteError = undefined
    } catch (error) {
      this.#rewriteError = asNetloomError(error, `write journal ${this.#path} anew`)
      this.#tolerated = this.#records + this.#toleratedHistory
    }
  }

  #writeAnew(): void {
    const temporary = temporaryOf(this.#path)
    const records = this.#ledger.records()
    const content = Buffer.concat(records.map(encodeRecord))
    const fd = this.#disk.openSync(temporary, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0o600)
    try {
      this.#write(fd, content)
      this.#disk.fsyncSync(fd)
      this.#disk.renameSync(temporary, this.#path)
    } catch (error) {
      this.#disk.closeSync(fd)
      this.#disk.rmSync(temporary, { force: true })
      throw error
    }
    const former = this.#fd
    this.#fd = fd
    this.#bytes = content.length
    this.#records = records.length
    this.#torn = false
    this.#disk.closeSync(former)
  }
}

const temporaryOf = (path: string): string => `${path}.new`

/** The files that a journal may have left, damaged ones that were set aside among them. */
export function journalFiles(path: string): string[] {
  const folder = dirname(path)
  const isAside = (name: string): boolean => name.startsWith(`${basename(path)}.damaged-`)
  const aside = fs.existsSync(folder) ? fs.readdirSync(folder).filter(isAside) : []
  return [path, temporaryOf(path), ...aside.map((name) => join(folder, name))]
}

const isFile = (path: string): boolean => fs.statSync(path, { throwIfNoEntry: false })?.isFile() === true

/** Never cut off: behind the damage may stand leases that are in use, and their addresses must not be given twice. */
const damaged = (path: string, { record, at, cause }: LostPart): NetloomError =>
  new NetloomError('invalid', `${path}: record ${record} at byte ${at} is damaged`, { field: 'journal', cause })
