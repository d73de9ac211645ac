import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { ipToBytes } from '../../src/base/ip.js'

/**
 * A certificate authority for tests. Node reads X.509 certificates and makes none, and neither openssl nor Go need be
 * there; a certificate is RFC 5280 in DER (X.690), of which this writes what a Kubernetes API server asks for.
 */

/** A certificate and its key, both PEM. */
export interface Credential {
  readonly certificate: string
  readonly key: string
}

export interface CertificateRequest {
  /** The common name: to an API server the user. */
  readonly name: string
  /** Organizations: to an API server the groups. */
  readonly groups?: readonly string[]
  /** Names and addresses that a server answers for. */
  readonly hosts?: readonly string[]
  /** Seconds from now on that it is good for; a day unless given. */
  readonly seconds?: number
}

const DAY = 24 * 3600
/** Begins before now: clocks differ. */
const EARLIER = 3600

export class CertificateAuthority {
  readonly certificate: string
  readonly #name: string
  readonly #key: KeyObject

  constructor(name: string) {
    const { publicKey, privateKey } = keyPair()
    this.#name = name
    this.#key = privateKey
    const extensions = [extension('2.5.29.19', true, sequence(BOOLEAN_TRUE))] // basicConstraints: may sign others
    this.certificate = this.#sign({ name }, publicKey, extensions)
  }

  /** A certificate with a key of its own, for servers and clients alike. */
  issue(request: CertificateRequest): Credential {
    const { publicKey, privateKey } = keyPair()
    const { hosts = [] } = request
    const usage = sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')) // serverAuth, clientAuth
    const extensions = [
      extension('2.5.29.37', false, usage),
      ...(hosts.length === 0 ? [] : [extension('2.5.29.17', false, sequence(...hosts.map(alternativeName)))]),
    ]
    const certificate = this.#sign(request, publicKey, extensions)
    return { certificate, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
  }

  #sign(
    { name, groups = [], seconds = DAY }: CertificateRequest,
    key: KeyObject,
    extensions: readonly Buffer[],
  ): string {
    const now = Date.now()
    const body = sequence(
      tlv(0xa0, tlv(TAG.INTEGER, Buffer.of(2))), // version 3
      tlv(TAG.INTEGER, Buffer.concat([Buffer.of(1), randomBytes(15)])), // the serial number; positive
      SIGNATURE,
      distinguishedName(this.#name, []),
      sequence(time(now - EARLIER * 1000), time(now + seconds * 1000)),
      distinguishedName(name, groups),
      key.export({ type: 'spki', format: 'der' }),
      tlv(0xa3, sequence(...extensions)),
    )
    const signature = sign('sha256', body, this.#key)
    return pem('CERTIFICATE', sequence(body, SIGNATURE, tlv(TAG.BIT_STRING, Buffer.of(0), signature)))
  }
}

/** P-256: made in a tenth of a millisecond, where RSA takes a tenth of a second. */
export const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OBJECT_IDENTIFIER: 0x06,
  UTF8_STRING: 0x0c,
  UTC_TIME: 0x17,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const

/** Tag, length, value: all that DER consists of. */
function tlv(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(contents)
  return Buffer.concat([Buffer.of(tag), lengthOf(value.length), value])
}

/** Below 128 as it is; otherwise the number of bytes, then the length. */
function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const bytes = length < 0x100 ? [length] : [length >> 8, length & 0xff]
  return Buffer.of(0x80 | bytes.length, ...bytes)
}

const sequence = (...contents: readonly Uint8Array[]): Buffer => tlv(TAG.SEQUENCE, ...contents)

/** The first two numbers share a byte; the others have seven bits to a byte, the last byte of each without the eighth. */
function oid(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number)
  return tlv(TAG.OBJECT_IDENTIFIER, Buffer.from([40 * first + second, ...others.flatMap(sevenBits)]))
}

function sevenBits(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let rest = value >> 7; rest > 0; rest >>= 7) bytes.unshift(0x80 | (rest & 0x7f))
  return bytes
}

const BOOLEAN_TRUE = tlv(TAG.BOOLEAN, Buffer.of(0xff))

/** ecdsa-with-SHA256 (RFC 5758). */
const SIGNATURE = sequence(oid('1.2.840.10045.4.3.2'))

const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [BOOLEAN_TRUE] : []), tlv(TAG.OCTET_STRING, value))

const attribute = (id: string, value: string): Buffer =>
  tlv(TAG.SET, sequence(oid(id), tlv(TAG.UTF8_STRING, Buffer.from(value))))

const distinguishedName = (name: string, groups: readonly string[]): Buffer =>
  sequence(...groups.map((group) => attribute('2.5.4.10', group)), attribute('2.5.4.3', name))

/** iPAddress or dNSName of GeneralName. */
const alternativeName = (host: string): Buffer =>
  isIP(host) === 0 ? tlv(0x82, Buffer.from(host)) : tlv(0x87, ipToBytes(host))

/** `YYMMDDHHMMSSZ` */
const time = (milliseconds: number): Buffer =>
  tlv(TAG.UTC_TIME, Buffer.from(`${new Date(milliseconds).toISOString().slice(2, 19).replace(/\D/g, '')}Z`))

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`
