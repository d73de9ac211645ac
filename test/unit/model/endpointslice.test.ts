import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { Cursor } from '../../../src/model/cursor.js'
import { type EndpointSlice, readEndpointSlice } from '../../../src/model/endpointslice.js'

const slice = (rest: object): EndpointSlice | undefined =>
  readEndpointSlice(
    new Cursor({
      metadata: { name: 'web-abc', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ...rest,
    }),
  )

const endpoint = (rest: object): unknown => slice({ endpoints: [{ addresses: ['10.0.0.1'], ...rest }] })?.endpoints[0]

t.test('a slice is read with all that is used of it', async (t) => {
  t.same(
    slice({
      addressType: 'IPv6',
      ports: [{ name: 'http', protocol: 'TCP', port: 8080 }, { name: '' }],
      endpoints: [
        {
          addresses: ['FD00::1', 'fd00::2'],
          conditions: { ready: false, serving: true, terminating: true },
          nodeName: 'n1',
          zone: 'z1',
          hints: { forZones: [{ name: 'z1' }, { name: 'z2' }], forNodes: [{ name: 'n1' }] },
          targetRef: { kind: 'Pod', name: 'web-0', namespace: 'shop' },
        },
      ],
    }),
    {
      kind: 'EndpointSlice',
      namespace: 'shop',
      name: 'web-abc',
      service: 'web',
      family: IPV6,
      ports: [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: '', protocol: 'TCP', port: undefined },
      ],
      endpoints: [
        {
          address: 'fd00::1',
          ready: false,
          serving: true,
          terminating: true,
          nodeName: 'n1',
          zone: 'z1',
          forZones: ['z1', 'z2'],
          forNodes: ['n1'],
          pod: 'web-0',
        },
      ],
      proxied: true,
    },
  )
})

const CONDITIONS: Record<
  string,
  [conditions: unknown, meaning: [ready: boolean, serving: boolean, terminating: boolean]]
> = {
  'none at all': [undefined, [true, true, false]],
  'all null': [{ ready: null, serving: null, terminating: null }, [true, true, false]],
  'not ready': [{ ready: false }, [false, false, false]],
  'ready only': [{ ready: true }, [true, true, false]],
  'terminating and serving': [{ ready: false, serving: true, terminating: true }, [false, true, true]],
}

t.test('conditions that are left out have the meaning the API gives them', async (t) => {
  for (const [what, [conditions, [ready, serving, terminating]]] of Object.entries(CONDITIONS))
    t.match(endpoint({ conditions }), { ready, serving, terminating }, what)
})

t.test('a target that is no Pod is no pod', async (t) => {
  t.match(endpoint({ targetRef: { kind: 'Node', name: 'n1' } }), { pod: undefined })
  t.match(endpoint({}), { pod: undefined, forZones: [], forNodes: [], zone: undefined, nodeName: undefined })
})

t.test('equal hints are one list', async (t) => {
  const hints = { forZones: [{ name: 'z1' }] }
  const parsed = slice({
    endpoints: [
      { addresses: ['10.0.0.1'], hints },
      { addresses: ['10.0.0.2'], hints },
    ],
  })
  t.equal(parsed?.endpoints[0]?.forZones, parsed?.endpoints[1]?.forZones)
})

t.test('a slice of names is left out, one of nobody belongs to nobody', async (t) => {
  t.equal(slice({ addressType: 'FQDN', endpoints: [{ addresses: ['a.example.com'] }] }), undefined)
  const parsed = readEndpointSlice(new Cursor({ metadata: { name: 'x' }, addressType: 'IPv4' }))
  t.match(parsed, { service: undefined, family: IPV4, namespace: 'default', endpoints: [], ports: [] })
})

const REFUSALS: Record<string, [rest: object, field: string]> = {
  'an unknown type': [{ addressType: 'IPX' }, 'addressType'],
  'no type': [{ addressType: undefined }, 'addressType'],
  'an address of the other family': [{ endpoints: [{ addresses: ['fd00::1'] }] }, 'endpoints[0].addresses[0]'],
  'the second address being bad': [{ endpoints: [{ addresses: ['10.0.0.1', 'x'] }] }, 'endpoints[0].addresses[1]'],
  'no address': [{ endpoints: [{ addresses: [] }] }, 'endpoints[0].addresses'],
  'a loopback endpoint': [{ endpoints: [{ addresses: ['127.0.0.1'] }] }, 'endpoints[0].addresses[0]'],
  'a metadata endpoint': [{ endpoints: [{ addresses: ['169.254.169.254'] }] }, 'endpoints[0].addresses[0]'],
  'port 0': [{ ports: [{ port: 0 }] }, 'ports[0].port'],
  'a name twice': [
    {
      ports: [
        { name: 'a', port: 1 },
        { name: 'a', port: 2 },
      ],
    },
    'ports[1]',
  ],
  'a word as condition': [
    { endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: 'yes' } }] },
    'endpoints[0].conditions.ready',
  ],
  'too many endpoints': [{ endpoints: Array.from({ length: 1001 }, () => ({ addresses: ['10.0.0.1'] })) }, 'endpoints'],
  'a null endpoint': [{ endpoints: [null] }, 'endpoints[0]'],
}

t.test('bad slices are refused', async (t) => {
  for (const [what, [rest, field]] of Object.entries(REFUSALS))
    t.throws(() => slice(rest), { code: 'invalid', field }, what)
})
