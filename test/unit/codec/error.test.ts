import t from 'tap'
import { constants } from 'node:os'
import {
  type Acknowledgement,
  decodeAcknowledgement,
  decodeDone,
  errnoText,
  kernelError,
} from '../../../src/codec/error.js'
import { CONTROL, FLAG, type Message, messages, Writer } from '../../../src/codec/wire.js'

const { errno: E } = constants
const REQUEST_HEADER = 16

interface Parts {
  readonly type?: number
  readonly errno?: number
  readonly flags?: number
  /** Bytes of the request that stand in an NLMSG_ERROR, and the length that its header claims. */
  readonly echoed?: number
  readonly claimed?: number
  readonly tlvs?: (writer: Writer) => unknown
}

/** A message as the kernel builds it. */
function acknowledgement({
  type = CONTROL.ERROR,
  errno = 0,
  flags = 0,
  echoed = 16,
  claimed = echoed,
  tlvs,
}: Parts): Message {
  const writer = new Writer()
  const mark = writer.message(type, flags, 1)
  writer.u32(-errno >>> 0)
  if (type === CONTROL.ERROR)
    writer
      .u32(claimed)
      .zeros(echoed - 4)
      .align()
  tlvs?.(writer)
  const [message] = messages(Buffer.from(writer.endMessage(mark).bytes()))
  if (message === undefined) throw new Error('no message')
  return message
}

const tlvs = (writer: Writer): unknown => writer.attrString(1, 'why').attrU32(2, 36).attrU32(5, 3).attrU32(6, 20)
const detail = { message: 'why', offset: 36, missingType: 3, missingNest: 20 }

const cases: Record<string, readonly [Parts, Acknowledgement]> = {
  'a plain acknowledgement': [{}, { errno: 0 }],
  'an acknowledgement cut off to the header': [{ flags: FLAG.CAPPED }, { errno: 0 }],
  'a refusal with the whole request': [{ errno: E.EEXIST, echoed: 40 }, { errno: E.EEXIST }],
  'a refusal with text behind the whole request': [
    { errno: E.EINVAL, echoed: 40, flags: FLAG.ACK_TLVS, tlvs },
    { errno: E.EINVAL, ...detail },
  ],
  'a refusal with text behind a request of odd length': [
    { errno: E.EINVAL, echoed: 41, flags: FLAG.ACK_TLVS, tlvs },
    { errno: E.EINVAL, ...detail },
  ],
  'a refusal with text behind a request that was cut off': [
    { errno: E.EINVAL, claimed: 400, flags: FLAG.ACK_TLVS | FLAG.CAPPED, tlvs },
    { errno: E.EINVAL, ...detail },
  ],
  'a warning with an acknowledgement': [
    { flags: FLAG.ACK_TLVS | FLAG.CAPPED, tlvs: (writer) => writer.attrString(1, 'deprecated') },
    { errno: 0, message: 'deprecated', offset: undefined, missingType: undefined, missingNest: undefined },
  ],
}

for (const [name, [parts, expected]] of Object.entries(cases)) {
  t.test(`${name} is read`, async (t) => {
    t.strictSame(decodeAcknowledgement(acknowledgement(parts)), expected)
  })
}

t.test('the end of a dump is read, with its error and text', async (t) => {
  const done = (parts: Parts) => decodeDone(acknowledgement({ type: CONTROL.DONE, ...parts }))
  t.strictSame(done({ flags: FLAG.MULTI }), { errno: 0 })
  t.strictSame(done({ flags: FLAG.MULTI, errno: E.ENOENT }), { errno: E.ENOENT })
  t.strictSame(done({ flags: FLAG.MULTI | FLAG.ACK_TLVS, errno: E.EINVAL, tlvs }), { errno: E.EINVAL, ...detail })
})

const truncated = (bytes: number, parts: Parts = {}): Message => {
  const message = acknowledgement(parts)
  return { ...message, payload: message.payload.subarray(0, bytes) }
}
const broken: Record<string, Message> = {
  'without its number': truncated(3),
  'without the header of the request': truncated(12, { flags: FLAG.ACK_TLVS }),
  'whose request is longer than the message': acknowledgement({ flags: FLAG.ACK_TLVS, claimed: 400 }),
  'whose request is shorter than its header': acknowledgement({ flags: FLAG.ACK_TLVS, claimed: REQUEST_HEADER - 1 }),
}
for (const [name, message] of Object.entries(broken)) {
  t.test(`an acknowledgement ${name} is refused`, async (t) => {
    t.throws(() => decodeAcknowledgement(message), { code: 'invalid' })
  })
}

const codes: Record<string, string> = {
  EEXIST: 'exists',
  ENOENT: 'not-found',
  ENODEV: 'not-found',
  ESRCH: 'not-found',
  EADDRNOTAVAIL: 'not-found',
  ENOSPC: 'exhausted',
  ENFILE: 'exhausted',
  ENOBUFS: 'exhausted',
  EAGAIN: 'unavailable',
  EINTR: 'unavailable',
  EOPNOTSUPP: 'unsupported',
  EAFNOSUPPORT: 'unsupported',
  EPROTONOSUPPORT: 'unsupported',
  EINVAL: 'kernel',
  EPERM: 'kernel',
  EBUSY: 'kernel',
  ENETUNREACH: 'kernel',
  ENOMEM: 'kernel',
}
for (const [name, code] of Object.entries(codes)) {
  t.test(`${name} becomes an error with the code '${code}' that names it`, async (t) => {
    const errno = E[name as keyof typeof E]
    const error = kernelError('create link v0', { errno })
    t.match(error, { code, errno, operation: 'create link v0' })
    t.match(error.message, new RegExp(`^create link v0: [a-z].* \\(${name}\\)$`))
  })
}

t.test("an error ends with the kernel's own words", async (t) => {
  const said = kernelError('create link v0', { errno: E.EEXIST, message: 'Name is taken', missingType: 3 })
  t.equal(said.message, 'create link v0: file already exists (EEXIST): Name is taken')
  const missing = kernelError('create link v0', { errno: E.EINVAL, missingType: 3 })
  t.equal(missing.message, 'create link v0: invalid argument (EINVAL): attribute 3 is missing')
  t.equal(kernelError('x', { errno: E.EPERM, message: '' }).message, 'x: operation not permitted (EPERM)')
})

t.test('a number without a name is still told', async (t) => {
  t.equal(errnoText(117), 'errno 117')
  t.equal(errnoText(E.EDQUOT), 'EDQUOT', 'and one without words by its name')
})
