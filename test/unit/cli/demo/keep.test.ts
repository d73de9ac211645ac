import t from 'tap'
import { keepText } from '../../../../src/cli/demo/keep.js'

const report = {
  nodes: [{ name: 'node-1', addresses: [], subnets: [], routes: [], pods: 1 }],
  pods: [
    {
      pod: 'default/h',
      workload: 'Pod/h',
      node: 'node-1',
      addresses: [],
      hostNetwork: true,
      ports: [],
      namespace: '/run/netns/node-1',
    },
    {
      pod: 'default/a',
      workload: 'Pod/a',
      node: 'node-1',
      addresses: [],
      hostNetwork: false,
      ports: [],
      namespace: '/run/netns/pod-default-a',
    },
  ],
  services: [
    {
      service: 'default/web',
      type: 'ClusterIP',
      portName: '',
      port: 80,
      protocol: 'TCP',
      clusterIPs: ['10.96.0.16'],
      endpoints: [],
      answers: 60,
      evenness: null,
      probability: null,
      unprobed: null,
    },
  ],
}
const kept = { report, pid: 42, state: '/run/netloom-demo/cluster' }

t.test('it says how to enter a pod and a node, where the YAML is, and how to end', async (t) => {
  t.equal(
    keepText({ ...kept, ownUsers: false }),
    `
The demo stays up. In another terminal:
  a pod
    nsenter --target 42 --mount --net=/proc/42/root/run/netns/pod-default-a bash
  default/web, as that pod
    nsenter --target 42 --mount --net=/proc/42/root/run/netns/pod-default-a bash -c 'cat </dev/tcp/10.96.0.16/80'
  a node
    nsenter --target 42 --mount --net=/proc/42/root/run/netns/node-1 bash
  the cluster (YAML to edit)
    /proc/42/root/run/netloom-demo/cluster
  to end it
    Ctrl-C here, or kill 42
`,
  )
})

t.test('a user without rights enters the user namespace first', async (t) => {
  t.match(keepText({ ...kept, ownUsers: true }), /nsenter --target 42 --user --preserve-credentials --mount/)
})

t.test('a demo without pods still says how to end it', async (t) => {
  const text = keepText({ ...kept, ownUsers: false, report: { pods: [], nodes: [], services: [] } })
  t.notMatch(text, /a pod/)
  t.match(text, /to end it/)
})
