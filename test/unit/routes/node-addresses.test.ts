import t from 'tap'
import { parseCidr, parseIp, parseIpPrefix } from '../../../src/base/ip.js'
import { type Address } from '../../../src/codec/rtnl/address.js'
import { IFA_F } from '../../../src/codec/rtnl/constants.js'
import { type Candidates, publishedAddresses, selectNodeAddresses } from '../../../src/routes/node-addresses.js'
import { type AddressSelection } from '../../../src/routes/routing.js'
import { node } from './fake-node.js'

const address = (text: string, index: number, fields: Partial<Address> = {}): Address => ({
  ...parseIpPrefix(text),
  index,
  scope: 0,
  flags: 0,
  permanent: false,
  tentative: false,
  dadFailed: false,
  ...fields,
})

const links = new Map(
  ['lo', 'eth0', 'eth1', 'netloom0', 'wg0'].map((name, i) => [i + 1, { name, loopback: name === 'lo' }]),
)
const CANDIDATES: Candidates = {
  links,
  own: new Set(['netloom0']),
  addresses: [
    address('127.0.0.1/8', 1),
    address('192.168.0.1/24', 2),
    address('fd00:a::7/64', 2, { flags: IFA_F.SECONDARY }),
    address('fd00:a::1/64', 2),
    address('fe80::1/64', 2, { scope: 253 }),
    address('172.16.0.9/24', 3),
    address('172.16.0.1/24', 3),
    address('fd00:b::8/64', 3, { tentative: true }),
    address('fd00:b::9/64', 3, { flags: IFA_F.DEPRECATED }),
    address('fd00:b::1/64', 3),
    address('10.244.1.1/24', 4),
    address('10.66.0.1/24', 5),
  ],
}
const NODE = node('a', [], ['192.168.0.1', 'fd00:a::1', '172.16.0.1', '192.168.0.2'])
const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text))

const SELECTIONS: Readonly<Record<string, readonly [selection: AddressSelection, addresses: readonly string[]]>> = {
  'the first InternalIP of each family, unless told otherwise': [{}, ['192.168.0.1', 'fd00:a::1']],
  'empty lists select nothing else': [{ interfaces: [], cidrs: [] }, ['192.168.0.1', 'fd00:a::1']],
  'by the name of the link': [{ interfaces: ['eth1'] }, ['172.16.0.1', 'fd00:b::1']],
  'by a pattern': [{ interfaces: ['wg*'] }, ['10.66.0.1']],
  'by the first pattern that fits': [{ interfaces: ['none*', 'eth[1-9]', 'eth*'] }, ['172.16.0.1', 'fd00:b::1']],
  'a family that the first link lacks comes from the next': [
    { interfaces: ['wg0', 'eth1'] },
    ['10.66.0.1', 'fd00:b::1'],
  ],
  'by a network': [{ cidrs: cidrs('172.16.0.0/12') }, ['172.16.0.1']],
  'by networks, in their order': [{ cidrs: cidrs('fd00:b::/32', '172.16.0.0/12') }, ['fd00:b::1', '172.16.0.1']],
  'by both': [{ interfaces: ['eth*'], cidrs: cidrs('172.16.0.0/12', 'fd00:a::/32') }, ['172.16.0.1', 'fd00:a::1']],
  "never pods' own, loopback or link-local": [{ cidrs: cidrs('0.0.0.0/0', '::/0') }, ['192.168.0.1', 'fd00:a::1']],
}

for (const [name, [selection, addresses]] of Object.entries(SELECTIONS))
  t.test(`selected ${name}`, async (t) => {
    const selected = selectNodeAddresses(NODE, selection, CANDIDATES)
    t.same(
      selected.addresses.map((ip) => ip.address),
      addresses,
    )
    t.equal(selected.problem, undefined)
  })

t.test('nothing that fits is told of, and the InternalIPs are not taken instead', async (t) => {
  t.match(selectNodeAddresses(NODE, { interfaces: ['bond*', 'team*'], cidrs: cidrs('10.0.0.0/8') }, CANDIDATES), {
    addresses: [],
    problem: 'no address of this node is on a link called bond* or team* and within 10.0.0.0/8',
  })
  t.match(selectNodeAddresses(NODE, { cidrs: cidrs('10.244.0.0/16') }, CANDIDATES), { addresses: [] })
})

t.test('other nodes are told where the InternalIPs do not tell them', async (t) => {
  const ips = (...texts: readonly string[]) => texts.map((text) => parseIp(text))
  t.equal(publishedAddresses(NODE, ips('192.168.0.1', 'fd00:a::1')), undefined)
  t.equal(publishedAddresses(NODE, ips('fd00:a::1', '192.168.0.1')), undefined, 'in whatever order')
  t.same(publishedAddresses(NODE, ips('172.16.0.1', 'fd00:a::1')), ['172.16.0.1', 'fd00:a::1'])
  t.same(publishedAddresses(NODE, ips('192.168.0.1')), ['192.168.0.1'], 'one family of two')
  t.equal(publishedAddresses(NODE, []), undefined)
})
