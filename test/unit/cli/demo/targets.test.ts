import t from 'tap'
import { parseManifests } from '../../../../src/cli/demo/manifests.js'
import { planScene } from '../../../../src/cli/demo/cluster.js'

const NODES = ['node-1', 'node-2']
const POD = (name: string, ports: string): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name}, labels: { app: web } }\nspec: { containers: [{ name: c, ports: [${ports}] }] }\n`
const SERVICE = (spec: string): string => `apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { ${spec} }\n`

const scene = (...documents: string[]) => planScene(parseManifests('t.yaml', documents.join('---\n')), NODES)

t.test('endpoints are the selected pods, with the port that each resolves for itself', async (t) => {
  const { targets } = scene(
    POD('a', '{ name: http, containerPort: 8080 }'),
    POD('b', '{ name: http, containerPort: 8081 }'),
    POD('c', '{ containerPort: 8080 }'),
    SERVICE(
      'selector: { app: web }, ports: [{ name: named, port: 80, targetPort: http }, { name: number, port: 81, targetPort: 9000 }]',
    ),
  )
  t.same(targets[0]?.endpoints, [
    { pod: 'default/a', port: 8080 },
    { pod: 'default/b', port: 8081 },
  ])
  t.same(
    targets[1]?.endpoints.map(({ pod, port }) => `${pod} ${port}`),
    ['default/a 9000', 'default/b 9000', 'default/c 9000'],
  )
})

t.test('pods listen on declared ports and on those that Services send packets to', async (t) => {
  const { listeners, notes } = scene(
    POD('a', '{ containerPort: 8080 }, { containerPort: 53, protocol: UDP }'),
    SERVICE('selector: { app: web }, ports: [{ port: 9000 }]'),
  )
  t.same(listeners.get('default/a'), [
    { protocol: 'TCP', port: 8080, undeclared: false },
    { protocol: 'UDP', port: 53, undeclared: false },
    { protocol: 'TCP', port: 9000, undeclared: true },
  ])
  t.ok(notes.includes('Pod/a listens on TCP 9000 for a Service, though no container declares it'))
})

t.test('Services that cannot be asked by a ClusterIP say why', async (t) => {
  const rows: readonly [spec: string, reason: RegExp | undefined][] = [
    ['selector: { app: web }, ports: [{ port: 80 }]', undefined],
    ['selector: { app: other }, ports: [{ port: 80 }]', undefined],
    ['type: ExternalName, externalName: example.com', /ExternalName/],
    ['clusterIP: None, selector: { app: web }, ports: [{ port: 80 }]', /headless/],
    ['selector: { app: web }, ports: [{ port: 80, protocol: SCTP }]', /SCTP/],
    ['selector: { app: web }, ports: [{ port: 80 }], internalTrafficPolicy: Local', /Local/],
  ]
  for (const [spec, reason] of rows) {
    const [target] = scene(SERVICE(spec)).targets
    if (reason === undefined) t.equal(target?.unprobed, undefined, spec)
    else t.match(target?.unprobed, reason, spec)
  }
})

t.test('a Service with slices of its own is not judged by its selector', async (t) => {
  const slice = `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: s, labels: { kubernetes.io/service-name: web } }\naddressType: IPv4\nports: [{ port: 80 }]\nendpoints: [{ addresses: [192.0.2.1] }]\n`
  const endpoints = `apiVersion: v1\nkind: Endpoints\nmetadata: { name: web }\nsubsets: [{ addresses: [{ ip: 192.0.2.1 }], ports: [{ port: 80 }] }]\n`
  for (const own of [slice, endpoints]) {
    const { targets, others } = scene(SERVICE('ports: [{ port: 80 }]'), own)
    t.match(targets[0]?.unprobed, /endpoints of its own/)
    t.ok(
      others.some(({ kind }) => kind === 'EndpointSlice' || kind === 'Endpoints'),
      'and the agents get them',
    )
  }
})
