import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { Encoder } from 'cbor-x'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { type Attachment, type Lease, leaseKey, parseLease } from '../model/lease.js'

/**
 * The leases of a node on disk: a file of records that is only ever appended to, one record for each lease given and
 * one for each released. A record is its length (u32), the CRC-32 of its body (u32), both big-endian, and the body in
 * CBOR. A crash in the middle of a write leaves a torn last record, which is cut off at the next start: its lease was
 * not used yet. The file is written anew, beside itself and renamed, when most of it is history.
 */

const cbor = new Encoder({ useRecords: false, mapsAsObjects: true })

const HEADER_BYTES = 8
/** A lease takes some 200 bytes; more than this is no record of ours. */
const MAX_RECORD_BYTES = 64 * 1024
/** Records of history that are not worth writing the file anew. */
const TOLERATED_HISTORY = 1000

export class Journal {
  readonly #path: string
  #fd: number
  #bytes: number
  /** Records in the file; what exceeds the number of leases is history. */
  #records: number
  readonly #leases: Map<string, Lease>
  /** Told what was found to be torn when the file was opened. */
  readonly tornBytes: number

  /**
   * Opens or creates the journal and reads it.
   * @throws NetloomError `io`, `invalid` where the file holds a whole record that is no lease.
   */
  constructor(path: string) {
    this.#path = path
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      this.#fd = openSync(path, 'a+', 0o600)
    } catch (error) {
      throw asNetloomError(error, `open journal ${path}`)
    }
    const { leases, bytes, records } = readRecords(readFileSync(this.#fd), path)
    this.tornBytes = fstatSync(this.#fd).size - bytes
    if (this.tornBytes > 0) ftruncateSync(this.#fd, bytes)
    this.#leases = leases
    this.#bytes = bytes
    this.#records = records
  }

  get leases(): Iterable<Lease> {
    return this.#leases.values()
  }

  /** Remembers a lease. When it returns, a crash of the agent cannot make it forgotten. */
  add(lease: Lease): void {
    this.#append(encode({ add: lease }))
    this.#leases.set(leaseKey(lease), lease)
  }

  remove(attachment: Attachment): void {
    if (!this.#leases.has(leaseKey(attachment))) return
    const { network, containerId, ifname } = attachment
    this.#append(encode({ remove: { network, containerId, ifname } }))
    this.#leases.delete(leaseKey(attachment))
    if (this.#records > 2 * this.#leases.size + TOLERATED_HISTORY) this.#rewrite()
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** One write call; what a full disk left of it is taken back, so that the next record does not follow a torn one. */
  #append(record: Buffer): void {
    try {
      const written = writeSync(this.#fd, record)
      if (written !== record.length) throw new NetloomError('io', `wrote ${written} of ${record.length} bytes`)
      this.#bytes += written
      this.#records++
    } catch (error) {
      ftruncateSync(this.#fd, this.#bytes)
      throw asNetloomError(error, `write journal ${this.#path}`)
    }
  }

  #rewrite(): void {
    const temporary = `${this.#path}.new`
    const content = Buffer.concat([...this.#leases.values()].map((lease) => encode({ add: lease })))
    const fd = openSync(temporary, 'w', 0o600)
    try {
      writeSync(fd, content)
      fsyncSync(fd)
      renameSync(temporary, this.#path)
    } finally {
      closeSync(fd)
    }
    closeSync(this.#fd)
    this.#fd = openSync(this.#path, 'a+', 0o600)
    this.#bytes = content.length
    this.#records = this.#leases.size
  }
}

type Record = { readonly add: Lease } | { readonly remove: Attachment }

function encode(record: Record): Buffer {
  const body = cbor.encode(record)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(body.length, 0)
  header.writeUInt32BE(crc32(body), 4)
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
  for (; at + HEADER_BYTES <= content.length; records++) {
    const length = content.readUInt32BE(at)
    const end = at + HEADER_BYTES + length
    if (length === 0 || length > MAX_RECORD_BYTES) throw damaged(path, records, at)
    if (end > content.length) break
    const body = content.subarray(at + HEADER_BYTES, end)
    if (crc32(body) !== content.readUInt32BE(at + 4)) {
      if (end === content.length) break
      throw damaged(path, records, at)
    }
    replay(leases, cbor.decode(body) as { add?: unknown; remove?: Attachment })
    at = end
  }
  return { leases, bytes: at, records }
}

/** Never cut off: behind the damage may stand leases that are in use, and their addresses must not be given twice. */
const damaged = (path: string, record: number, at: number): NetloomError =>
  new NetloomError('invalid', `${path}: record ${record} at byte ${at} is damaged`, { field: 'journal' })

function replay(leases: Map<string, Lease>, { add, remove }: { add?: unknown; remove?: Attachment }): void {
  if (remove !== undefined) {
    leases.delete(leaseKey(remove))
    return
  }
  const lease = parseLease(add)
  leases.set(leaseKey(lease), lease)
}
