import t from 'tap'
import { parseObject } from '../../../src/model/object.js'
import { type Pod } from '../../../src/model/pod.js'
import { type Service } from '../../../src/model/service.js'
import { deriveSlices, isDerivable } from '../../../src/kube/slices.js'

const service = (spec: object = {}): Service =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80 }], clusterIP: '10.96.0.1', ...spec },
  }) as Service

interface PodSpec {
  readonly name?: string
  readonly ips?: readonly string[]
  readonly ready?: boolean
  readonly terminating?: boolean
  readonly phase?: string
  readonly ports?: readonly object[]
  readonly node?: string
  readonly hostNetwork?: boolean
}

const pod = ({ name = 'p', ips = ['10.0.0.1'], ready = true, phase = 'Running', ...rest }: PodSpec = {}): Pod =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', ...(rest.terminating === true ? { deletionTimestamp: 'now' } : {}) },
    spec: { nodeName: rest.node, hostNetwork: rest.hostNetwork, containers: [{ ports: rest.ports }] },
    status: {
      phase,
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }) as Pod

/** `name ports: address state, ...` for each slice; R ready, S serving, T terminating. */
const derived = (of: Service, pods: readonly Pod[]): string[] =>
  deriveSlices(of, pods, (node) => (node === 'n1' ? 'z1' : undefined)).map(
    ({ name, ports, endpoints }) =>
      `${name} ${ports.map(({ name, protocol, port }) => `${name}/${protocol}/${String(port)}`).join('+')}: ` +
      endpoints
        .map(({ address, ready, serving, terminating }) =>
          [address, [ready && 'R', serving && 'S', terminating && 'T'].filter(Boolean).join('')].join(' ').trim(),
        )
        .join(', '),
  )

const http = (containerPort: number, rest: object = {}): object => ({ name: 'http', containerPort, ...rest })
const named = { ports: [{ name: 'h', port: 80, targetPort: 'http' }] }
const dual = ['10.0.0.1', 'fd00::1']

const ROWS: Record<string, [spec: object, pods: readonly PodSpec[], slices: readonly string[]]> = {
  'a ready pod is ready and serving': [{}, [{}], ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 RS']],
  'no pods are no slices': [{}, [], []],
  'a pod without an address is left out': [{}, [{ ips: [] }], []],
  'a pod that is not ready is listed as such': [{}, [{ ready: false }], ['web-derived:ipv4-1 /TCP/80: 10.0.0.1']],
  'publishNotReadyAddresses makes it ready, not serving': [
    { publishNotReadyAddresses: true },
    [{ ready: false }],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 R'],
  ],
  'a terminating pod serves but is not ready': [
    {},
    [{ terminating: true }],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 ST'],
  ],
  'a terminating pod that is not ready is neither': [
    {},
    [{ terminating: true, ready: false }],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 T'],
  ],
  'publishNotReadyAddresses makes a terminating pod ready': [
    { publishNotReadyAddresses: true },
    [{ terminating: true }],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 RST'],
  ],
  'pods that have ended are left out, the others whatever their phase': [
    {},
    [
      { phase: 'Succeeded' },
      { phase: 'Failed' },
      { phase: 'Pending', ips: ['10.0.0.2'] },
      { phase: 'Unknown', ips: ['10.0.0.3'] },
    ],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.2 RS, 10.0.0.3 RS'],
  ],
  'pods on the host network count': [{}, [{ hostNetwork: true }], ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 RS']],
  'targetPort is a number': [
    { ports: [{ port: 80, targetPort: 8080, protocol: 'UDP' }] },
    [{}],
    ['web-derived:ipv4-1 /UDP/8080: 10.0.0.1 RS'],
  ],
  'targetPort is a name that each pod resolves for itself': [
    named,
    [
      { name: 'a', ports: [http(8080)] },
      { name: 'b', ips: ['10.0.0.2'], ports: [http(9090)] },
      { name: 'c', ips: ['10.0.0.3'], ports: [http(8080)] },
    ],
    ['web-derived:ipv4-1 h/TCP/8080: 10.0.0.1 RS, 10.0.0.3 RS', 'web-derived:ipv4-2 h/TCP/9090: 10.0.0.2 RS'],
  ],
  'a pod without the named port is left out': [named, [{ ports: [{ name: 'x', containerPort: 1 }] }], []],
  'a name counts for its protocol only': [named, [{ ports: [http(1, { protocol: 'UDP' })] }], []],
  'a pod with some of the ports serves those': [
    {
      ports: [
        { name: 'a', port: 80, targetPort: 'http' },
        { name: 'b', port: 81, targetPort: 'x' },
      ],
    },
    [{ ports: [http(8080)] }],
    ['web-derived:ipv4-1 a/TCP/8080: 10.0.0.1 RS'],
  ],
  'several ports are in one slice': [
    {
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 53, protocol: 'UDP' },
      ],
    },
    [{}],
    ['web-derived:ipv4-1 a/TCP/80+b/UDP/53: 10.0.0.1 RS'],
  ],
  'the clusterIP says the family': [{}, [{ ips: dual }], ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 RS']],
  'an IPv6 Service has IPv6 endpoints': [
    { clusterIP: 'fd00:96::1' },
    [{ ips: dual }],
    ['web-derived:ipv6-1 /TCP/80: fd00::1 RS'],
  ],
  'a dual-stack Service has both': [
    { clusterIP: undefined, clusterIPs: ['10.96.0.1', 'fd00:96::1'] },
    [{ ips: dual }, { ips: ['10.0.0.2'] }],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 RS, 10.0.0.2 RS', 'web-derived:ipv6-1 /TCP/80: fd00::1 RS'],
  ],
  'ipFamilies say it as well': [
    { clusterIP: 'None', ipFamilies: ['IPv6'] },
    [{ ips: dual }],
    ['web-derived:ipv6-1 /TCP/80: fd00::1 RS'],
  ],
  'a headless Service that says no family has all': [
    { clusterIP: 'None' },
    [{ ips: dual }],
    ['web-derived:ipv4-1 /TCP/80: 10.0.0.1 RS', 'web-derived:ipv6-1 /TCP/80: fd00::1 RS'],
  ],
  'a headless Service needs no ports': [
    { clusterIP: 'None', ports: [], ipFamilies: ['IPv4'] },
    [{}],
    ['web-derived:ipv4-1 : 10.0.0.1 RS'],
  ],
}

for (const [what, [spec, pods, slices]] of Object.entries(ROWS))
  t.test(what, async (t) => t.same(derived(service(spec), pods.map(pod)), slices))

t.test('endpoints have node, zone and pod', async (t) => {
  const [slice] = deriveSlices(service(), [pod({ name: 'web-0', node: 'n1' })], (node) => `zone of ${node}`)
  t.match(slice, { namespace: 'shop', service: 'web' })
  t.match(slice?.endpoints, [{ nodeName: 'n1', zone: 'zone of n1', pod: 'web-0' }])
})

t.test('no slice has more than 1000 endpoints', async (t) => {
  const pods = Array.from({ length: 2001 }, (_, i) => pod({ name: `p${i}`, ips: [`10.0.${i >> 8}.${i & 255}`] }))
  const slices = deriveSlices(service(), pods, () => undefined)
  t.same(
    slices.map(({ name, endpoints }) => [name, endpoints.length]),
    [
      ['web-derived:ipv4-1', 1000],
      ['web-derived:ipv4-2', 1000],
      ['web-derived:ipv4-3', 1],
    ],
  )
})

t.test('only Services that select pods have slices derived', async (t) => {
  t.equal(isDerivable(service()), true)
  t.equal(isDerivable(service({ selector: {} })), false)
  t.equal(isDerivable(service({ type: 'ExternalName', externalName: 'a.example.com' })), false)
})
