import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { readPod } from '../../../src/model/pod.js'

const pod = (spec: unknown, status: unknown = {}, metadata: object = {}) =>
  readPod(new Cursor({ metadata: { name: 'web-0', ...metadata }, spec, status }))

t.test('a Pod is read with all that is used of it', async (t) => {
  const parsed = pod(
    {
      nodeName: 'n1',
      hostNetwork: true,
      containers: [{ name: 'a', ports: [{ name: 'http', containerPort: 80, hostPort: 8080, hostIP: '192.168.0.1' }] }],
    },
    {
      phase: 'Running',
      conditions: [
        { type: 'Initialized', status: 'True' },
        { type: 'Ready', status: 'True' },
      ],
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }, { ip: 'FD00::1' }],
    },
    { namespace: 'shop', uid: 'u-1', labels: { app: 'web' }, deletionTimestamp: '2026-01-01T00:00:00Z' },
  )
  t.match(parsed, {
    kind: 'Pod',
    namespace: 'shop',
    name: 'web-0',
    uid: 'u-1',
    labels: { app: 'web' },
    terminating: true,
    nodeName: 'n1',
    hostNetwork: true,
    phase: 'Running',
    ready: true,
    ips: [{ address: '10.0.0.1' }, { address: 'fd00::1' }],
    ports: [{ name: 'http', containerPort: 80, protocol: 'TCP', hostPort: 8080, hostIP: { address: '192.168.0.1' } }],
  })
})

t.test('a Pod that has just been written has nothing yet', async (t) => {
  t.match(pod({ nodeName: '' }), {
    uid: undefined,
    terminating: false,
    nodeName: undefined,
    hostNetwork: false,
    phase: 'Pending',
    ready: false,
    ips: [],
    ports: [],
  })
  t.equal(pod({}, { conditions: [{ type: 'Ready', status: 'False' }] }).ready, false)
  t.equal(pod({}, { conditions: [{ type: 'Ready', status: 'Unknown' }] }).ready, false)
  t.same(
    pod({}, { podIP: '10.0.0.9' }).ips.map(({ address }) => address),
    ['10.0.0.9'],
  )
})

t.test('ports of sidecars count, after those of containers; ports of other init containers do not', async (t) => {
  const ports = (name: string, containerPort: number) => [{ name, containerPort, protocol: 'UDP' }]
  const parsed = pod({
    initContainers: [{ ports: ports('setup', 1) }, { ports: ports('mesh', 2), restartPolicy: 'Always' }],
    containers: [{ ports: ports('dns', 53) }, {}],
  })
  t.same(
    parsed.ports.map(({ name, containerPort, protocol }) => [name, containerPort, protocol]),
    [
      ['dns', 53, 'UDP'],
      ['mesh', 2, 'UDP'],
    ],
  )
})

const port = (value: object): unknown => ({ containers: [{ ports: [value] }] })

const REFUSALS: Record<string, [spec: unknown, status: unknown, field: string]> = {
  'port 0': [port({ containerPort: 0 }), {}, 'spec.containers[0].ports[0].containerPort'],
  'no port': [port({}), {}, 'spec.containers[0].ports[0].containerPort'],
  'a protocol in small letters': [
    port({ containerPort: 1, protocol: 'tcp' }),
    {},
    'spec.containers[0].ports[0].protocol',
  ],
  'a bad port name': [port({ containerPort: 1, name: 'a_b' }), {}, 'spec.containers[0].ports[0].name'],
  'a large host port': [port({ containerPort: 1, hostPort: 70000 }), {}, 'spec.containers[0].ports[0].hostPort'],
  'a bad address': [{}, { podIPs: [{ ip: '10.0.0.256' }] }, 'status.podIPs[0].ip'],
  'two addresses of a family': [{}, { podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] }, 'status.podIPs'],
  'podIP against podIPs': [{}, { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.2' }] }, 'status.podIP'],
  'an unknown phase': [{}, { phase: 'Sleeping' }, 'status.phase'],
  'a word for a flag': [{ hostNetwork: 'yes' }, {}, 'spec.hostNetwork'],
  'a bad node': [{ nodeName: 'a/b' }, {}, 'spec.nodeName'],
}

t.test('bad Pods are refused', async (t) => {
  for (const [what, [spec, status, field]] of Object.entries(REFUSALS))
    t.throws(() => pod(spec, status), { code: 'invalid', field }, what)
})
