import t from 'tap'
import { formatCidr } from '../../../src/base/ip.js'
import { Cursor } from '../../../src/model/cursor.js'
import { readNode } from '../../../src/model/node.js'

const node = (spec: unknown, status: unknown = {}, labels: unknown = {}) =>
  readNode(new Cursor({ metadata: { name: 'n1', labels }, spec, status }))

t.test('a Node has its networks, addresses and zone', async (t) => {
  const parsed = node(
    { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'] },
    {
      addresses: [
        { type: 'Hostname', address: 'not an address' },
        { type: 'InternalIP', address: '192.168.0.1' },
        { type: 'ExternalIP', address: '203.0.113.1' },
        { type: 'InternalIP', address: 'FD00::1' },
      ],
    },
    { 'topology.kubernetes.io/zone': 'z1', other: 'x' },
  )
  t.match(parsed, { kind: 'Node', namespace: '', name: 'n1', zone: 'z1' })
  t.same(parsed.podCIDRs.map(formatCidr), ['10.244.1.0/24', 'fd00:1::/64'])
  t.same(
    parsed.internalIPs.map(({ address }) => address),
    ['192.168.0.1', 'fd00::1'],
  )
  t.same(
    parsed.externalIPs.map(({ address }) => address),
    ['203.0.113.1'],
  )
})

t.test('the older podCIDR is enough, and none is fine', async (t) => {
  t.same(node({ podCIDR: '10.244.1.0/24' }).podCIDRs.map(formatCidr), ['10.244.1.0/24'])
  t.same(node({ podCIDR: '' }).podCIDRs, [])
  t.match(node(undefined, undefined, undefined), { podCIDRs: [], internalIPs: [], zone: undefined })
})

t.test('a node is reached by the addresses that its agent chose, or else by its InternalIPs', async (t) => {
  const chosen = (text: string | undefined) =>
    readNode(
      new Cursor({
        metadata: { name: 'n1', annotations: { 'netloom.dev/node-addresses': text, other: 'x' } },
        status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] },
      }),
    )
  const addresses = (text: string | undefined): string[] => chosen(text).nodeAddresses.map(({ address }) => address)
  t.same(addresses(undefined), ['192.168.0.1'])
  t.same(addresses('10.0.0.1'), ['10.0.0.1'])
  t.same(addresses(' FD00::1, 10.0.0.1'), ['fd00::1', '10.0.0.1'])
  for (const wrong of [
    '',
    'x',
    '10.0.0.1,',
    '10.0.0.1 10.0.0.2',
    '127.0.0.1',
    '10.0.0.1,169.254.0.1',
    '224.0.0.1',
    '::1',
  ]) {
    t.same(addresses(wrong), ['192.168.0.1'], `'${wrong}'`)
    t.match(
      chosen(wrong).nodeAddressesProblem,
      /^metadata\.annotations\[netloom\.dev\/node-addresses\]: /,
      `'${wrong}'`,
    )
  }
})

const REFUSALS: Record<string, [spec: unknown, status: unknown, field: string]> = {
  'everything as network': [{ podCIDRs: ['0.0.0.0/0'] }, {}, 'spec.podCIDRs[0]'],
  'two networks of a family': [{ podCIDRs: ['10.0.0.0/24', '10.0.1.0/24'] }, {}, 'spec.podCIDRs'],
  'podCIDR against podCIDRs': [{ podCIDR: '10.0.0.0/24', podCIDRs: ['10.0.1.0/24'] }, {}, 'spec.podCIDR'],
  'a broken network': [{ podCIDRs: ['10.0.0.0'] }, {}, 'spec.podCIDRs[0]'],
  'a broken address': [{}, { addresses: [{ type: 'InternalIP', address: 'x' }] }, 'status.addresses[0].address'],
}

t.test('bad Nodes are refused', async (t) => {
  for (const [what, [spec, status, field]] of Object.entries(REFUSALS))
    t.throws(() => node(spec, status), { code: 'invalid', field }, what)
})
