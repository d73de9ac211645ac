import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { formatCidr } from '../../../src/base/ip.js'
import { Cursor } from '../../../src/model/cursor.js'
import { selectorText } from '../../../src/model/selector.js'
import { readService, type Service } from '../../../src/model/service.js'

const service = (spec: object, rest: object = {}): Service =>
  readService(
    new Cursor({ metadata: { name: 'web', namespace: 'shop' }, spec: { ports: [{ port: 80 }], ...spec }, ...rest }),
  )

t.test('a Service that says little has the defaults of the API', async (t) => {
  t.same(service({}), {
    kind: 'Service',
    namespace: 'shop',
    name: 'web',
    type: 'ClusterIP',
    headless: false,
    clusterIPs: [],
    ipFamilies: [],
    ipFamilyPolicy: undefined,
    selector: undefined,
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePort: undefined }],
    externalIPs: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    affinityTimeout: undefined,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    healthCheckNodePort: undefined,
    publishNotReadyAddresses: false,
    trafficDistribution: undefined,
    externalName: undefined,
    proxied: true,
  })
})

t.test('a Service is read with all that is used of it', async (t) => {
  const parsed = service(
    {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.1',
      clusterIPs: ['10.96.0.1', 'FD00::0:1'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
      selector: { app: 'web', tier: 'front' },
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 'dns', nodePort: 30053 },
        { name: 'dns-tcp', port: 53, targetPort: 5353, nodePort: 30053 },
      ],
      externalIPs: ['203.0.113.5'],
      loadBalancerSourceRanges: [' 203.0.113.0/24 '],
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      internalTrafficPolicy: 'Local',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
      publishNotReadyAddresses: true,
      trafficDistribution: 'PreferClose',
    },
    {
      status: {
        loadBalancer: {
          ingress: [{ ip: '203.0.113.9' }, { hostname: 'lb.example.com' }, { ip: '203.0.113.10', ipMode: 'Proxy' }],
        },
      },
    },
  )
  t.match(parsed, {
    type: 'LoadBalancer',
    clusterIPs: [{ address: '10.96.0.1' }, { address: 'fd00::1' }],
    ipFamilies: [IPV4, IPV6],
    ipFamilyPolicy: 'RequireDualStack',
    ports: [
      { name: 'dns', protocol: 'UDP', port: 53, targetPort: 'dns', nodePort: 30053 },
      { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: 5353, nodePort: 30053 },
    ],
    externalIPs: [{ address: '203.0.113.5' }],
    affinityTimeout: 60,
    internalTrafficPolicy: 'Local',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
    publishNotReadyAddresses: true,
    trafficDistribution: 'PreferClose',
  })
  t.equal(selectorText(parsed.selector ?? []), 'app=web,tier=front')
  t.same(parsed.loadBalancerSourceRanges.map(formatCidr), ['203.0.113.0/24'])
  t.same(
    parsed.loadBalancerIngress.map(({ ip, ipMode }) => [ip.address, ipMode]),
    [
      ['203.0.113.9', 'VIP'],
      ['203.0.113.10', 'Proxy'],
    ],
  )
})

t.test('a headless Service has no address and needs no port', async (t) => {
  for (const spec of [{ clusterIP: 'None' }, { clusterIPs: ['None'] }, { clusterIP: 'None', clusterIPs: ['None'] }])
    t.match(service({ ...spec, ports: undefined }), { headless: true, clusterIPs: [], ports: [] })
})

t.test('an address that is not allocated yet is none', async (t) => {
  t.match(service({ clusterIP: '' }), { headless: false, clusterIPs: [] })
  t.match(service({ clusterIP: '10.96.0.7' }).clusterIPs, [{ address: '10.96.0.7' }])
})

t.test('an ExternalName has a name', async (t) => {
  t.equal(service({ type: 'ExternalName', externalName: 'db.example.com', ports: [] }).externalName, 'db.example.com')
  t.equal(service({ type: 'ExternalName', externalName: 'db.example.com.' }).externalName, 'db.example.com')
  t.throws(() => service({ type: 'ExternalName' }), { code: 'invalid', field: 'spec.externalName' })
})

t.test('client affinity lasts three hours unless the Service says how long', async (t) => {
  t.equal(service({ sessionAffinity: 'ClientIP' }).affinityTimeout, 10800)
  t.equal(service({ sessionAffinity: 'None' }).affinityTimeout, undefined)
})

t.test('an empty selector is none, a target of 0 is the port', async (t) => {
  t.equal(service({ selector: {} }).selector, undefined)
  t.equal(service({ ports: [{ port: 81, targetPort: 0 }] }).ports[0]?.targetPort, 81)
})

t.test('a label leaves a Service to another proxy, or calls it headless, whatever its value', async (t) => {
  const proxied = (labels: object): boolean =>
    readService(new Cursor({ metadata: { name: 'a', labels }, spec: { ports: [{ port: 1 }] } })).proxied
  t.equal(proxied({ app: 'x' }), true)
  for (const label of ['service-proxy-name', 'headless'])
    for (const value of ['', 'other']) t.equal(proxied({ [`service.kubernetes.io/${label}`]: value }), false)
})

const two = (a: object, b: object): object => ({
  ports: [
    { name: 'a', port: 1, ...a },
    { name: 'b', port: 2, ...b },
  ],
})

const REFUSALS: Record<string, [spec: object, field: string]> = {
  'no ports': [{ ports: [] }, 'spec.ports'],
  'port 0': [{ ports: [{ port: 0 }] }, 'spec.ports[0].port'],
  'port 65536': [{ ports: [{ port: 65536 }] }, 'spec.ports[0].port'],
  'a port in quotes': [{ ports: [{ port: '80' }] }, 'spec.ports[0].port'],
  'a target in quotes': [two({}, { targetPort: '80' }), 'spec.ports[1].targetPort'],
  'a negative target': [two({}, { targetPort: -1 }), 'spec.ports[1].targetPort'],
  'an unknown protocol': [two({}, { protocol: 'ICMP' }), 'spec.ports[1].protocol'],
  'the same port twice': [two({ port: 5 }, { port: 5 }), 'spec.ports[1]'],
  'the same name twice': [two({ name: 'x' }, { name: 'x' }), 'spec.ports[1]'],
  'the same nodePort twice': [two({ nodePort: 30000 }, { nodePort: 30000 }), 'spec.ports[1]'],
  'one of several ports without a name': [two({}, { name: '' }), 'spec.ports[1]'],
  'a bad name of a port': [two({}, { name: 'A' }), 'spec.ports[1].name'],
  'an unknown type': [{ type: 'Magic' }, 'spec.type'],
  'a loopback clusterIP': [{ clusterIP: '127.0.0.1' }, 'spec.clusterIP'],
  'a clusterIP that is none': [{ clusterIPs: ['10.0.0'] }, 'spec.clusterIPs[0]'],
  'two clusterIPs of a family': [{ clusterIPs: ['10.0.0.1', '10.0.0.2'] }, 'spec.clusterIPs'],
  'clusterIP against clusterIPs': [{ clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.2'] }, 'spec.clusterIP'],
  'None beside an address': [{ clusterIPs: ['None', '10.0.0.2'] }, 'spec.clusterIPs'],
  'a headless NodePort': [{ clusterIP: 'None', type: 'NodePort' }, 'spec.clusterIP'],
  'a clusterIP of the other family': [{ clusterIPs: ['10.0.0.1'], ipFamilies: ['IPv6'] }, 'spec.clusterIPs[0]'],
  'a family twice': [{ ipFamilies: ['IPv6', 'IPv6'] }, 'spec.ipFamilies'],
  'an unknown family': [{ ipFamilies: ['IPX'] }, 'spec.ipFamilies[0]'],
  'an external loopback address': [{ externalIPs: ['10.0.0.1', '::1'] }, 'spec.externalIPs[1]'],
  'a range that is none': [{ loadBalancerSourceRanges: ['all'] }, 'spec.loadBalancerSourceRanges[0]'],
  'an affinity of no time': [
    { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } },
    'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
  ],
  'an unknown affinity': [{ sessionAffinity: 'Cookie' }, 'spec.sessionAffinity'],
  'an unknown traffic policy': [{ externalTrafficPolicy: 'local' }, 'spec.externalTrafficPolicy'],
  'a number in the selector': [{ selector: { app: 1 } }, 'spec.selector.app'],
}

t.test('bad Services are refused', async (t) => {
  for (const [what, [spec, field]] of Object.entries(REFUSALS))
    t.throws(() => service(spec), { code: 'invalid', field }, what)
})

t.test('a balancer on a loopback address is refused', async (t) => {
  t.throws(() => service({}, { status: { loadBalancer: { ingress: [{ ip: '127.0.0.1' }] } } }), {
    code: 'invalid',
    field: 'status.loadBalancer.ingress[0].ip',
  })
})
