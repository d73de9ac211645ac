import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { Encoder } from 'cbor-x'
import { asNetloomError, invalid, NetloomError } from '../base/errors.js'
import { type Attachment, type Lease, leaseKey, parseLease } from '../model/lease.js'

/**
 * The leases of a node on disk: a file of records that is only ever appended to, one record for each lease given and
 * one for each released. A record is a header of three numbers (u32, big-endian): the length of its body, the CRC-32 of
 * these four bytes, and the CRC-32 of the body; then the body in CBOR. The length has a sum of its own, because a wrong
 * one would make all that follows look like one torn record.
 *
 * A crash in the middle of a write leaves a torn last record, which is cut off at the next start: its lease was not
 * used yet. The file is written anew, beside itself and renamed, when most of it is history.
 */

const cbor = new Encoder({ useRecords: false, mapsAsObjects: true })

const HEADER_BYTES = 12
/** A lease takes some 200 bytes; more than this is no record of ours. */
const MAX_RECORD_BYTES = 64 * 1024
/** Records of history that are not worth writing the file anew. */
const TOLERATED_HISTORY = 1000

const { O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = constants

export class Journal {
  readonly #path: string
  #fd: number
  #bytes: number
  /** Records in the file; what exceeds the number of leases is history. */
  #records: number
  /** Records at which the file is written anew. */
  #tolerated = TOLERATED_HISTORY
  readonly #leases: Map<string, Lease>
  #rewriteError: NetloomError | undefined
  /** Told what was found to be torn when the file was opened. */
  readonly tornBytes: number

  /**
   * Opens or creates the journal and reads it.
   * @throws NetloomError `io`; `invalid` with the field `journal` where the file is damaged, or is no journal
   */
  constructor(path: string) {
    this.#path = path
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      this.#fd = openSync(path, O_RDWR | O_CREAT | O_APPEND, 0o600)
    } catch (error) {
      throw asNetloomError(error, `open journal ${path}`)
    }
    try {
      const { leases, bytes, records } = readRecords(readFileSync(this.#fd), path)
      this.tornBytes = fstatSync(this.#fd).size - bytes
      if (this.tornBytes > 0) ftruncateSync(this.#fd, bytes)
      this.#leases = leases
      this.#bytes = bytes
      this.#records = records
      // An earlier agent may have ended while it wrote the file anew.
      if (isFile(temporaryOf(path))) rmSync(temporaryOf(path))
    } catch (error) {
      closeSync(this.#fd)
      throw asNetloomError(error, `read journal ${path}`)
    }
  }

  /** In the order in which they were given. */
  get leases(): Iterable<Lease> {
    return this.#leases.values()
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
    this.#append(encode({ add: lease }))
    // A lease that is replaced is a later one.
    this.#leases.delete(leaseKey(lease))
    this.#leases.set(leaseKey(lease), lease)
  }

  /** @throws NetloomError `io`; the lease is there still */
  remove(attachment: Attachment): void {
    if (!this.#leases.has(leaseKey(attachment))) return
    const { network, containerId, ifname } = attachment
    this.#append(encode({ remove: { network, containerId, ifname } }))
    this.#leases.delete(leaseKey(attachment))
    if (this.#records > 2 * this.#leases.size + this.#tolerated) this.#rewrite()
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** What a full disk left of a record is taken back, so that the next one does not follow a torn one. */
  #append(record: Buffer): void {
    try {
      // A disk that becomes full takes a part, and says so when it is given the rest.
      for (let written = 0; written < record.length;) written += writeSync(this.#fd, record, written)
    } catch (error) {
      ftruncateSync(this.#fd, this.#bytes)
      throw asNetloomError(error, `write journal ${this.#path}`)
    }
    this.#bytes += record.length
    this.#records++
  }

  /** Without success the file stays as it is: it is right, only long. */
  #rewrite(): void {
    const temporary = temporaryOf(this.#path)
    const content = Buffer.concat([...this.#leases.values()].map((lease) => encode({ add: lease })))
    let fd: number | undefined
    try {
      fd = openSync(temporary, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0o600)
      writeFileSync(fd, content)
      fsyncSync(fd)
      renameSync(temporary, this.#path)
    } catch (error) {
      this.#rewriteError = asNetloomError(error, `write journal ${this.#path} anew`)
      this.#tolerated = this.#records + TOLERATED_HISTORY
      if (fd === undefined) return
      closeSync(fd)
      rmSync(temporary, { force: true })
      return
    }
    closeSync(this.#fd)
    this.#fd = fd
    this.#bytes = content.length
    this.#records = this.#leases.size
    this.#tolerated = TOLERATED_HISTORY
    this.#rewriteError = undefined
  }
}

const temporaryOf = (path: string): string => `${path}.new`

/** The files that a journal may have left. */
export const journalFiles = (path: string): string[] => [path, temporaryOf(path)]

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true

type Record = { readonly add: Lease } | { readonly remove: Attachment }

function encode(record: Record): Buffer {
  const body = cbor.encode(record)
  if (body.length > MAX_RECORD_BYTES)
    throw invalid('lease', `takes ${body.length} bytes, which is more than ${MAX_RECORD_BYTES}`)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(body.length, 0)
  header.writeUInt32BE(crc32(header.subarray(0, 4)), 4)
  header.writeUInt32BE(crc32(body), 8)
  return Buffer.concat([header, body])
}

interface Contents {
  readonly leases: Map<string, Lease>
  /** Bytes of whole records. */
  readonly bytes: number
  readonly records: number
}

function readRecords(content: Buffer, path: string): Contents {
  const leases = new Map<string, Lease>()
  let at = 0
  let records = 0
  for (; at + HEADER_BYTES <= content.length && !isZero(content, at); records++) {
    const length = content.readUInt32BE(at)
    const end = at + HEADER_BYTES + length
    const trusted = crc32(content.subarray(at, at + 4)) === content.readUInt32BE(at + 4)
    if (!trusted || length === 0 || length > MAX_RECORD_BYTES) throw damaged(path, records, at)
    if (end > content.length) break
    const body = content.subarray(at + HEADER_BYTES, end)
    if (crc32(body) !== content.readUInt32BE(at + 8)) {
      if (end === content.length) break
      throw damaged(path, records, at)
    }
    try {
      replay(leases, cbor.decode(body))
    } catch (error) {
      throw damaged(path, records, at, error)
    }
    at = end
  }
  return { leases, bytes: at, records }
}

/** True where nothing but zeros follows: a file system makes a file longer before it writes what belongs there. */
const isZero = (content: Buffer, from: number): boolean => content.subarray(from).every((byte) => byte === 0)

/** Never cut off: behind the damage may stand leases that are in use, and their addresses must not be given twice. */
const damaged = (path: string, record: number, at: number, cause?: unknown): NetloomError =>
  new NetloomError('invalid', `${path}: record ${record} at byte ${at} is damaged`, { field: 'journal', cause })

function replay(leases: Map<string, Lease>, record: unknown): void {
  const { add, remove } = record as { add?: unknown; remove?: Attachment }
  if (remove !== undefined) {
    leases.delete(leaseKey(remove))
    return
  }
  const lease = parseLease(add)
  leases.delete(leaseKey(lease))
  leases.set(leaseKey(lease), lease)
}
