import t from 'tap'
import { bridgeConfiguration, environment, netloomConfiguration } from '../../../scripts/bench/cni/call.js'
import { cpuOf, FLOOR, LESSER_PEER, NETLOOM, PEER } from '../../../scripts/bench/cni/contenders.js'
import { cniFigures } from '../../../scripts/bench/cni/figures.js'
import { highWater } from '../../../scripts/bench/cni/memory.js'
import { figure } from '../../../scripts/bench/figure.js'
import { Samples } from '../../../scripts/bench/samples.js'

t.test('plugins get the variables of the specification', (t) => {
  const pod = { name: 'pod-1', netns: '/run/netns/pod-1' }
  const env = environment({ command: 'ADD', executable: '/opt/cni/bin/bridge', pod })
  t.match(env, { CNI_COMMAND: 'ADD', CNI_PATH: '/opt/cni/bin', CNI_NETNS: pod.netns, CNI_IFNAME: 'eth0' })
  t.match(env['CNI_CONTAINERID'], /^[0-9a-f]{64}$/)
  t.match(env['CNI_ARGS'], /K8S_POD_NAME=pod-1$/)
  t.match(env['PATH'], /(^|:)\/usr\/sbin(:|$)/, 'bridge finds iptables')
  t.end()
})

t.test('two pods are two containers; the same pod is the same in ADD and DEL', (t) => {
  const id = (command: 'ADD' | 'DEL', name: string): string | undefined =>
    environment({ command, executable: '/x/y', pod: { name, netns: '/n' } })['CNI_CONTAINERID']
  t.equal(id('ADD', 'a'), id('DEL', 'a'))
  t.not(id('ADD', 'a'), id('ADD', 'b'))
  t.end()
})

t.test('STATUS and VERSION are about no pod', (t) => {
  const env = environment({ command: 'STATUS', executable: '/x/y' })
  t.notOk('CNI_CONTAINERID' in env || 'CNI_NETNS' in env || 'CNI_IFNAME' in env)
  t.end()
})

t.test('what is compared does the same work in one version of the protocol', (t) => {
  const bridge = bridgeConfiguration({ subnet: '10.0.0.0/24', masquerade: true, dataDir: '/run/x' })
  t.equal(bridge['cniVersion'], netloomConfiguration('/run/agent.sock')['cniVersion'])
  t.match(bridge, {
    type: 'bridge',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', dataDir: '/run/x', ranges: [[{ subnet: '10.0.0.0/24' }]] },
  })
  t.end()
})

const burst = { pods: 100, parallel: 20 }
const contenders: Record<string, number> = { [NETLOOM]: 4, [PEER.name]: 50, [LESSER_PEER.name]: 20 }

function measured(names: readonly string[]): Samples {
  const samples = new Samples()
  for (const name of names) {
    const value = contenders[name] ?? 1
    for (const [sample, factor] of [
      [`${name} ADD`, 1],
      [`${name} DEL`, 2],
      [cpuOf(`${name} ADD`), 0.5],
      [`burst ${name} ADD`, 100],
      [`burst ${name} DEL`, 200],
    ] as const)
      for (const spread of [0.5, 1, 3]) samples.add(sample, value * factor * spread)
  }
  for (const floor of [...Object.values(FLOOR), `burst ${FLOOR.START}`]) samples.add(floor, 1)
  return samples
}

t.test('every figure has a name of its own, and goals stand against the peer that masquerades', (t) => {
  const samples = measured([NETLOOM, PEER.name, LESSER_PEER.name])
  const figures = cniFigures({ samples, burst, executableMemory: 7e5 }).map(figure)
  t.equal(new Set(figures.map(({ name }) => name)).size, figures.length)
  const goals = figures.filter(({ goal }) => goal !== null)
  t.strictSame(
    goals.map(({ name, peerName, ratio, met }) => ({ name, peerName, ratio, met })),
    ['ADD p50', '100 pods, 20 at once: ADD total p50', '100 pods, 20 at once: DEL total p50'].map((name) => ({
      name,
      peerName: PEER.name,
      ratio: 0.08,
      met: true,
    })),
  )
  t.match(
    figures.find(({ name }) => name === 'DEL max'),
    { value: 24, peer: 300, met: null },
  )
  t.match(
    figures.find(({ name }) => name === 'ADD p50, against no ipMasq'),
    { value: 4, peer: 20, peerName: LESSER_PEER.name, goal: null },
  )
  t.end()
})

t.test('CPU times stand beside each other, and no ratio is made of what leaves out the agent', (t) => {
  const cpu = (names: readonly string[]): unknown[] =>
    cniFigures({ samples: measured(names), burst, executableMemory: 7e5 })
      .map(figure)
      .filter(({ name }) => name.includes('CPU'))
      .map(({ name, unit, value, ratio }) => ({ name, unit, value, ratio }))
  const row = (name: string, value: number): unknown => ({
    name: `ADD, CPU of ${name} p50`,
    unit: 'ms',
    value,
    ratio: null,
  })
  const own = row('the executable (without the agent)', 2)
  t.strictSame(cpu([NETLOOM, PEER.name, LESSER_PEER.name]), [own, row(PEER.name, 25), row(LESSER_PEER.name, 10)])
  t.strictSame(cpu([NETLOOM]), [own])
  t.end()
})

t.test('without the reference plugins netloom is measured all the same, and no goal is judged', (t) => {
  const figures = cniFigures({ samples: measured([NETLOOM]), burst, executableMemory: 7e5 }).map(figure)
  const compared = figures.filter(({ peerName }) => peerName !== null)
  t.equal(compared.length, 18)
  t.ok(compared.every(({ peer, ratio, met, value }) => peer === null && ratio === null && met === null && value > 0))
  t.end()
})

t.test('memory is read from /proc/PID/status', (t) => {
  t.equal(highWater('Name:\tx\nVmPeak:\t    900 kB\nVmHWM:\t     708 kB\nVmRSS:\t 600 kB\n'), 708 * 1024)
  t.equal(highWater('Name:\tx\nState:\tZ (zombie)\n'), undefined, 'a process that has ended')
  t.end()
})
