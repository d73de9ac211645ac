import t from 'tap'
import { Attributes } from '../../../../src/codec/attr.js'
import { VERDICT, type VerdictName } from '../../../../src/codec/nft/constants.js'
import {
  type DataType,
  readValue,
  readVerdict,
  type Scalar,
  TYPE,
  typeBytes,
  typeId,
  valueBytes,
  valueText,
  type Verdict,
  verdictText,
  writeValue,
  writeVerdict,
} from '../../../../src/codec/nft/types.js'
import { Writer } from '../../../../src/codec/wire.js'

interface Case {
  readonly types: readonly DataType[]
  readonly values: readonly Scalar[]
  readonly hex: string
  readonly text: string
}

const { ipv4_addr, ipv6_addr, inet_proto, inet_service, numgen, ifname, ether_addr, nd_target } = TYPE
const { ether_type, iface_type, icmpv6_type, nf_proto, ct_state } = TYPE

const CASES: Readonly<Record<string, Case>> = {
  'IPv4 address': { types: [ipv4_addr], values: ['10.0.0.255'], hex: '0a0000ff', text: '10.0.0.255' },
  'IPv6 address': {
    types: [ipv6_addr],
    values: ['fd00::1'],
    hex: 'fd000000000000000000000000000001',
    text: 'fd00::1',
  },
  protocol: { types: [inet_proto], values: [6], hex: '06', text: 'tcp' },
  'protocol without a name': { types: [inet_proto], values: [253], hex: 'fd', text: '253' },
  port: { types: [inet_service], values: [8080], hex: '1f90', text: '8080' },
  'number in host order': { types: [numgen], values: [258], hex: '02010000', text: '258' },
  'name of a link': { types: [ifname], values: ['nlm-1'], hex: '6e6c6d2d31' + '00'.repeat(11), text: '"nlm-1"' },
  'longest name of a link': {
    types: [ifname],
    values: ['nlm-0123456789a'],
    hex: '6e6c6d2d3031323334353637383961' + '00',
    text: '"nlm-0123456789a"',
  },
  'Ethernet address': {
    types: [ether_addr],
    values: ['0a:58:0a:01:00:02'],
    hex: '0a580a010002',
    text: '0a:58:0a:01:00:02',
  },
  'advertised address': {
    types: [nd_target],
    values: ['fd00::1'],
    hex: 'fd000000000000000000000000000001',
    text: '0xfd000000000000000000000000000001',
  },
  'type of a frame': { types: [ether_type], values: [0x86dd], hex: '86dd', text: 'ip6' },
  'type of a frame without a name': { types: [ether_type], values: [0x88b5], hex: '88b5', text: '34997' },
  'kind of a link, in host order': { types: [iface_type], values: [1], hex: '0100', text: 'ether' },
  'number of a link': { types: [TYPE.iface_index], values: [1], hex: '01000000', text: '"lo"' },
  'status of a flow': { types: [TYPE.ct_status], values: [0x20], hex: '20000000', text: 'dnat' },
  'kind of an address': { types: [TYPE.fib_addrtype], values: [2], hex: '02000000', text: 'local' },
  'type of an ICMPv6 packet': { types: [icmpv6_type], values: [134], hex: '86', text: 'nd-router-advert' },
  'states of connections': { types: [ct_state], values: [6], hex: '06000000', text: 'established,related' },
  'a state that netloom never asks for': { types: [ct_state], values: [8], hex: '08000000', text: '0x8' },
  family: { types: [nf_proto], values: [10], hex: '0a', text: 'ipv6' },
  'link, Ethernet address and address': {
    types: [ifname, ether_addr, ipv4_addr],
    values: ['a', '0a:58:0a:01:00:02', '10.1.0.2'],
    hex: '61' + '00'.repeat(15) + '0a580a0100020000' + '0a010002',
    text: '"a" . 0a:58:0a:01:00:02 . 10.1.0.2',
  },
  'IPv4 frontend': {
    types: [ipv4_addr, inet_proto, inet_service],
    values: ['10.96.0.1', 17, 53],
    hex: '0a600001' + '11000000' + '00350000',
    text: '10.96.0.1 . udp . 53',
  },
  'IPv6 frontend': {
    types: [ipv6_addr, inet_proto, inet_service],
    values: ['::', 132, 65535],
    hex: '00'.repeat(16) + '84000000' + 'ffff0000',
    text: ':: . sctp . 65535',
  },
  'pair of IPv6 addresses': {
    types: [ipv6_addr, ipv6_addr],
    values: ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '::1'],
    hex: 'ff'.repeat(16) + '00'.repeat(15) + '01',
    text: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff . ::1',
  },
}

t.test('values survive writing and reading, the parts of a concatenation in whole registers', async (t) => {
  for (const [name, { types, values, hex, text }] of Object.entries(CASES)) {
    const writer = new Writer()
    writeValue(writer, types, values)
    const bytes = new Attributes(writer.bytes()).bytes(1)
    t.equal(bytes?.toString('hex'), hex, name)
    t.equal(typeBytes(types), hex.length / 2, `${name}: size`)
    t.strictSame(readValue(types, bytes ?? Buffer.alloc(0)), values, name)
    t.equal(valueText(types, values), text, name)
  }
})

t.test('types are numbered as nft numbers them, six bits for each part', async (t) => {
  t.equal(typeId([ipv4_addr]), 7)
  t.equal(typeId([ipv4_addr, inet_proto, inet_service]), (7 << 12) | (12 << 6) | 13)
  t.equal(typeId([ifname, ether_addr, ipv4_addr]), (41 << 12) | (9 << 6) | 7)
})

t.test('a single value is compared in its own size', async (t) => {
  t.equal(Buffer.from(valueBytes(inet_proto, 6)).toString('hex'), '06')
  t.equal(Buffer.from(valueBytes(inet_service, 80)).toString('hex'), '0050')
})

t.test('values that do not fit their type are refused by its name', async (t) => {
  const bad: [DataType, Scalar][] = [
    [inet_proto, 256],
    [inet_proto, -1],
    [inet_proto, 'tcp'],
    [inet_service, 65536],
    [inet_service, 1.5],
    [inet_service, Number.NaN],
    [numgen, 2 ** 32],
    [ipv4_addr, 'fd00::1'],
    [ipv6_addr, '10.0.0.1'],
    [ipv4_addr, 80],
    [ifname, ''],
    [ifname, 'x'.repeat(16)],
    [ifname, 7],
    [ether_addr, '0a:58:0a:01:00'],
    [ether_addr, 7],
    [ether_type, 65536],
    [iface_type, -1],
    [icmpv6_type, 256],
  ]
  for (const [type, value] of bad)
    t.throws(() => valueBytes(type, value), { code: 'invalid', field: type.name }, `${type.name} ${value}`)
})

t.test('a key of too few parts is refused', async (t) => {
  t.throws(() => writeValue(new Writer(), [ipv4_addr, inet_service], ['10.0.0.1']), { code: 'internal' })
})

t.test('too few bytes are refused instead of read as something else', async (t) => {
  for (const [name, { types, hex }] of Object.entries(CASES))
    for (const cut of [1, hex.length / 2])
      t.throws(
        () => readValue(types, Buffer.from(hex, 'hex').subarray(cut)),
        { code: 'invalid' },
        `${name} less ${cut}`,
      )
})

const verdicts: readonly (readonly [Verdict, string])[] = [
  [{ verdict: 'accept' }, 'accept'],
  [{ verdict: 'drop' }, 'drop'],
  [{ verdict: 'continue' }, 'continue'],
  [{ verdict: 'return' }, 'return'],
  [{ verdict: 'jump', chain: 'pick_2' }, 'jump pick_2'],
  [{ verdict: 'goto', chain: 'slot_0' }, 'goto slot_0'],
]

t.test('verdicts survive writing and reading', async (t) => {
  for (const [verdict, text] of verdicts) {
    const writer = new Writer()
    writeVerdict(writer, verdict)
    const data = new Attributes(writer.bytes()).nested(2)
    t.strictSame(data === undefined ? undefined : readVerdict(data), verdict, text)
    t.equal(verdictText(verdict), text)
  }
  t.strictSame(verdicts.map(([{ verdict }]) => verdict).sort(), (Object.keys(VERDICT) as VerdictName[]).sort(), 'all')
})

t.test('a verdict that netloom never writes is no verdict', async (t) => {
  const NF_QUEUE = 3
  t.equal(readVerdict(new Attributes(new Writer().attrBe32(1, NF_QUEUE).bytes())), undefined)
})
