import t from 'tap'
import { IPV6 } from '../../../src/base/family.js'
import { type EndpointSlice } from '../../../src/model/endpointslice.js'
import { parseObject } from '../../../src/model/object.js'
import { type Service } from '../../../src/model/service.js'
import { frontendKey, frontendsOf, targetKey } from '../../../src/proxy/frontend.js'

interface ServiceFields {
  readonly spec?: object
  readonly labels?: object
}

const service = ({ spec = {}, labels = {} }: ServiceFields = {}): Service =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', labels },
    spec: { clusterIP: '10.96.0.1', ports: [{ port: 80 }], ...spec },
  }) as Service

/** An endpoint: its address, and conditions as single letters (r ready, s serving, t terminating), `@NODE` its node. */
function endpoint(text: string): object {
  const [, address = '', letters = '', nodeName] = /^([^ @]+)(?: ([rst-]*))?(?: ?@(.+))?$/.exec(text) ?? []
  const conditions =
    letters === ''
      ? undefined
      : {
          ready: letters.includes('r'),
          serving: letters.includes('s'),
          terminating: letters.includes('t'),
        }
  return { addresses: [address], conditions, nodeName }
}

interface SliceFields {
  readonly endpoints: readonly string[]
  readonly ports?: readonly object[]
  readonly addressType?: string
  readonly labels?: object
}

const slice = ({
  endpoints,
  ports = [{ port: 8080 }],
  addressType = 'IPv4',
  labels = {},
}: SliceFields): EndpointSlice =>
  parseObject({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web', ...labels } },
    addressType,
    endpoints: endpoints.map(endpoint),
    ports,
  }) as EndpointSlice

/** Frontends as lines: `ADDRESS PROTOCOL PORT -> TARGET, ...`, `*` marks one on this node. */
const lines = (of: Service, slices: readonly EndpointSlice[]): string[] =>
  frontendsOf(of, slices, 'here').map((frontend) => {
    const targets = frontend.endpoints.map((target) => `${targetKey(target)}${target.local ? ' *' : ''}`)
    return `${frontendKey(frontend)} -> ${targets.join(', ')}`
  })

interface Row {
  readonly service?: ServiceFields
  readonly slices?: readonly SliceFields[]
  readonly want: readonly string[]
}

const two = { ports: [{ name: 'http', port: 80 }, { name: 'dns', port: 53, protocol: 'UDP' }] } // prettier-ignore

const ROWS: Readonly<Record<string, Row>> = {
  'a ready endpoint gets connections, at its own port': {
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080'],
  },
  'an endpoint that is not ready gets none': {
    slices: [{ endpoints: ['10.1.0.2 -', '10.1.0.3 rs'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.3 8080'],
  },
  'a Service without endpoints is a frontend all the same, so that connections are refused and do not hang': {
    want: ['10.96.0.1 TCP 80 -> '],
  },
  'those terminating serve where nothing is ready (KEP-1669)': {
    slices: [{ endpoints: ['10.1.0.2 st', '10.1.0.3 -', '10.1.0.4 t', '10.1.0.5 st'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080, 10.1.0.5 8080'],
  },
  'one ready endpoint ends the fall-back, also from another slice': {
    slices: [{ endpoints: ['10.1.0.2 st'] }, { endpoints: ['10.1.0.9 rs'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.9 8080'],
  },
  'serving alone is not enough: it is neither ready nor on its way out': {
    slices: [{ endpoints: ['10.1.0.2 s'] }],
    want: ['10.96.0.1 TCP 80 -> '],
  },
  'a ready endpoint that terminates counts as ready (publishNotReadyAddresses)': {
    slices: [{ endpoints: ['10.1.0.2 rst', '10.1.0.3 st'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080'],
  },
  'endpoints on this node are known': {
    slices: [{ endpoints: ['10.1.0.2 rs@here', '10.2.0.2 rs@there', '10.3.0.2 rs'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080 *, 10.2.0.2 8080, 10.3.0.2 8080'],
  },
  'an endpoint that stands in several slices counts once': {
    slices: [{ endpoints: ['10.1.0.2', '10.1.0.3'] }, { endpoints: ['10.1.0.3', '10.1.0.2'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080, 10.1.0.3 8080'],
  },
  'slices of another proxy, or of a headless Service, are not looked at': {
    slices: [
      { endpoints: ['10.1.0.2'], labels: { 'service.kubernetes.io/service-proxy-name': 'other' } },
      { endpoints: ['10.1.0.3'], labels: { 'service.kubernetes.io/headless': '' } },
      { endpoints: ['10.1.0.4'] },
    ],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.4 8080'],
  },
  'a Service that is called headless by its label is not looked at': {
    service: { labels: { 'service.kubernetes.io/headless': '' } },
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: [],
  },
  'one address with two target ports is two endpoints': {
    slices: [{ endpoints: ['10.1.0.2'] }, { endpoints: ['10.1.0.2'], ports: [{ port: 8081 }] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080, 10.1.0.2 8081'],
  },
  'several ports find their own target ports by name': {
    service: { spec: two },
    slices: [
      {
        endpoints: ['10.1.0.2'],
        ports: [
          { name: 'dns', port: 5353, protocol: 'UDP' },
          { name: 'http', port: 8080 },
        ],
      },
    ],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080', '10.96.0.1 UDP 53 -> 10.1.0.2 5353'],
  },
  'named ports that differ between slices are each taken from their own slice': {
    service: { spec: two },
    slices: [
      { endpoints: ['10.1.0.2'], ports: [{ name: 'http', port: 8080 }] },
      { endpoints: ['10.1.0.3'], ports: [{ name: 'http', port: 9090 }] },
    ],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080, 10.1.0.3 9090', '10.96.0.1 UDP 53 -> '],
  },
  'a port of the same name and another protocol is not it': {
    slices: [{ endpoints: ['10.1.0.2'], ports: [{ port: 8080, protocol: 'UDP' }] }],
    want: ['10.96.0.1 TCP 80 -> '],
  },
  'a port without a number cannot be translated to': {
    slices: [{ endpoints: ['10.1.0.2'], ports: [{}] }],
    want: ['10.96.0.1 TCP 80 -> '],
  },
  'dual stack: each family has its own frontends and endpoints': {
    service: { spec: { clusterIP: undefined, clusterIPs: ['10.96.0.1', 'fd00:96::1'] } },
    slices: [{ endpoints: ['10.1.0.2'] }, { endpoints: ['fd00:1::2 rs@here'], addressType: 'IPv6' }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080', 'fd00:96::1 TCP 80 -> fd00:1::2 8080 *'],
  },
  'slices of a family that the Service has not are not used': {
    slices: [{ endpoints: ['fd00:1::2'], addressType: 'IPv6' }],
    want: ['10.96.0.1 TCP 80 -> '],
  },
  'a headless Service has none': {
    service: { spec: { clusterIP: 'None' } },
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: [],
  },
  'a Service whose address is not allocated yet has none': {
    service: { spec: { clusterIP: '' } },
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: [],
  },
  'an ExternalName has none, even with an address left from an earlier type': {
    service: { spec: { type: 'ExternalName', externalName: 'example.com' } },
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: [],
  },
  'a Service that names another proxy is left to it': {
    service: { labels: { 'service.kubernetes.io/service-proxy-name': 'other' } },
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: [],
  },
  'NodePort and LoadBalancer Services have their cluster IP as well': {
    service: { spec: { type: 'LoadBalancer', ports: [{ port: 80, nodePort: 30080 }] } },
    slices: [{ endpoints: ['10.1.0.2'] }],
    want: ['10.96.0.1 TCP 80 -> 10.1.0.2 8080'],
  },
}

for (const [name, { service: fields, slices = [], want }] of Object.entries(ROWS))
  t.test(name, async (t) => t.same(lines(service(fields), slices.map(slice)), want))

t.test('a frontend knows its family and its Service', async (t) => {
  const [frontend] = frontendsOf(service({ spec: { clusterIP: 'fd00:96::1' } }), [], 'here')
  t.equal(frontend?.family, IPV6)
  t.equal(frontend?.service, 'shop/web')
})
