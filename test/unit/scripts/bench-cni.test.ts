import t from 'tap'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { environment, hostPortOf, inputFor, netloomPlugin, referenceChain } from '../../../scripts/bench/cni/call.js'
import { ChainCall } from '../../../scripts/bench/cni/chain.js'
import { cpuOf, FLOOR, NETLOOM, STANDALONE, WORKS } from '../../../scripts/bench/cni/contenders.js'
import { cniFigures } from '../../../scripts/bench/cni/figures.js'
import { highWater } from '../../../scripts/bench/cni/executable.js'
import { Children } from '../../../scripts/bench/children.js'
import { figure } from '../../../scripts/bench/figure.js'
import { Samples } from '../../../scripts/bench/samples.js'
import { type Place } from '../../../src/cli/demo/place.js'

const POD = { name: 'pod-1', number: 1, netns: '/run/netns/pod-1' }

t.test('plugins get the variables of the specification', (t) => {
  const env = environment({ command: 'ADD', executable: '/opt/cni/bin/bridge', pod: POD })
  t.match(env, { CNI_COMMAND: 'ADD', CNI_PATH: '/opt/cni/bin', CNI_NETNS: POD.netns, CNI_IFNAME: 'eth0' })
  t.match(env['CNI_CONTAINERID'], /^[0-9a-f]{64}$/)
  t.match(env['CNI_ARGS'], /K8S_POD_NAME=pod-1$/)
  t.match(env['PATH'], /(^|:)\/usr\/sbin(:|$)/, 'bridge finds iptables')
  t.end()
})

t.test('two pods are two containers with ports of their own; the same pod is the same in ADD and DEL', (t) => {
  const id = (command: 'ADD' | 'DEL', name: string): string | undefined =>
    environment({ command, executable: '/x/y', pod: { ...POD, name } })['CNI_CONTAINERID']
  t.equal(id('ADD', 'a'), id('DEL', 'a'))
  t.not(id('ADD', 'a'), id('ADD', 'b'))
  t.not(hostPortOf({ number: 1 }), hostPortOf({ number: 2 }))
  t.end()
})

t.test('STATUS and VERSION are about no pod', (t) => {
  const env = environment({ command: 'STATUS', executable: '/x/y' })
  t.notOk('CNI_CONTAINERID' in env || 'CNI_NETNS' in env || 'CNI_IFNAME' in env)
  t.end()
})

/** Where the test is: going anywhere takes rights. */
const HERE: Pick<Place, 'run'> = { run: (work) => work() }

const CHAIN = { subnet: '10.0.0.0/24', dataDir: '/run/x', capabilities: ['portMappings', 'bandwidth'] } as const

t.test('what is compared does the same work in one version of the protocol', (t) => {
  const read = (plugin: Parameters<typeof inputFor>[0]) =>
    JSON.parse(inputFor(plugin, { command: 'ADD', pod: POD })) as Record<string, Record<string, unknown>>
  const own = read(netloomPlugin('/run/agent.sock', CHAIN.capabilities))
  const [bridge, ...rest] = referenceChain(CHAIN).map(read)
  t.match(bridge, { type: 'bridge', isGateway: true, ipMasq: true, ipam: { type: 'host-local', dataDir: '/run/x' } })
  t.equal(bridge?.['cniVersion'], own['cniVersion'])
  t.strictSame(
    rest.map(({ type }) => type),
    ['portmap', 'bandwidth'],
  )
  t.strictSame(Object.assign({}, ...rest.map(({ runtimeConfig }) => runtimeConfig)), own['runtimeConfig'])
  t.end()
})

t.test('a plugin without capabilities gets nothing from the runtime, and one behind another its result', (t) => {
  const input = inputFor({ type: 'bridge' }, { command: 'DEL', pod: POD, previous: '{"ips":[]}\n' })
  t.strictSame(JSON.parse(input), { cniVersion: '1.0.0', name: 'bench', type: 'bridge', prevResult: { ips: [] } })
  t.end()
})

t.test('a chain runs in order for ADD, and backwards with the last answer for DEL', async (t) => {
  const folder = t.testdir({ scratch: {}, bin: {} })
  /** Answers with its name and what it got, and writes its name down. */
  const script = (name: string): string => {
    const lines = [`echo ${name} >> ${folder}/order`, `echo '["${name}",' "$(cat)" ']'`]
    return ['#!/bin/sh', ...lines, name === 'broken' ? 'exit 1' : '', ''].join('\n')
  }
  for (const name of ['one', 'two', 'broken']) writeFileSync(join(folder, 'bin', name), script(name), { mode: 0o755 })
  const children = new Children(new AbortController().signal)
  t.teardown(() => children.close())
  const call = async (types: readonly string[], command: 'ADD' | 'DEL', previous?: string) => {
    const plugins = types.map((type) => ({ type }))
    writeFileSync(join(folder, 'order'), '')
    const contender = { name: 'x', folder: join(folder, 'bin'), place: HERE, plugins }
    const chain = new ChainCall(contender, { command, pod: POD, previous }, join(folder, 'scratch'))
    const taken = await chain.run(children)
    const order = readFileSync(join(folder, 'order'), 'utf8').trim().split('\n')
    return { taken, order, finish: () => JSON.parse(chain.finish()) as unknown }
  }
  const added = await call(['one', 'two'], 'ADD')
  t.strictSame(added.order, ['one', 'two'])
  t.match(added.finish(), ['two', { type: 'two', prevResult: ['one', { type: 'one' }] }])
  t.ok(added.taken.ms > 0)
  const deleted = await call(['one', 'two'], 'DEL', '"result"')
  t.strictSame(deleted.order, ['two', 'one'])
  t.match(deleted.finish(), ['one', { type: 'one', prevResult: 'result' }])
  const failed = await call(['broken', 'two'], 'ADD')
  t.strictSame(failed.order, ['broken'], 'nothing runs behind what has failed')
  t.throws(() => failed.finish(), { code: 'unavailable', message: /broken ADD: exit code 1/ })
})

const burst = { pods: 100, parallel: 20 }
const OWN = [...WORKS.map(({ own }) => own), STANDALONE]
const PEERS = WORKS.map(({ peer }) => peer)

/** Each of ours takes 4 ms, each of the others 50 ms. */
function measured(names: readonly string[]): Samples {
  const samples = new Samples()
  for (const name of names) {
    const value = OWN.includes(name) ? 4 : 50
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

const figuresOf = (names: readonly string[]) =>
  cniFigures({ samples: measured(names), burst, executableMemory: 7e5 }).map(figure)

t.test('every figure has a name of its own, and goals stand against the chain that does the same work', (t) => {
  const figures = figuresOf([...OWN, ...PEERS])
  t.equal(new Set(figures.map(({ name }) => name)).size, figures.length)
  const goals = figures.filter(({ goal }) => goal !== null)
  t.strictSame(
    goals.map(({ name, peerName, ratio, met }) => ({ name, peerName, ratio, met })),
    WORKS.flatMap(({ title, peer }) => {
      const pods = `100 pods, 20 at once${title === '' ? '' : `,${title}`}`
      return [`ADD${title} p50`, `${pods}: ADD total p50`, `${pods}: DEL total p50`].map((name) => ({
        name,
        peerName: peer,
        ratio: 0.08,
        met: true,
      }))
    }),
  )
  const row = (wanted: string) => figures.find(({ name }) => name === wanted)
  t.match(row('DEL with a port p99'), { value: 24, peer: 300, met: null })
  t.match(row('ADD without an agent p50'), { value: 4, peer: 50, goal: null })
  t.match(row('executable, start to first byte on the socket p50'), { value: 1, peer: null })
  t.end()
})

t.test('CPU times stand beside each other, and no ratio is made of what leaves out the agent', (t) => {
  const cpu = (names: readonly string[]): unknown[] =>
    figuresOf(names)
      .filter(({ name }) => name.includes('CPU'))
      .map(({ name, unit, value, ratio }) => ({ name, unit, value, ratio }))
  const row = (name: string, value: number): unknown => ({ name: `${name} p50`, unit: 'ms', value, ratio: null })
  const own = row('ADD, CPU of the executable (without the agent)', 2)
  t.strictSame(cpu([NETLOOM, WORKS[0].peer]), [own, row(`ADD, CPU of ${WORKS[0].peer}`, 25)])
  t.strictSame(cpu([NETLOOM]), [own])
  t.end()
})

t.test('without the reference plugins netloom is measured all the same, and no goal is judged', (t) => {
  const compared = figuresOf(OWN).filter(({ peerName }) => peerName !== null)
  t.ok(compared.length > 0)
  t.ok(compared.every(({ peer, ratio, met, value }) => peer === null && ratio === null && met === null && value > 0))
  t.end()
})

t.test('what netloom cannot do yet is in no figure', (t) => {
  const names = figuresOf([NETLOOM, ...PEERS]).map(({ name }) => name)
  t.same(
    names.filter((name) => /with a port .*(p50|p99|max)$|without an agent/.test(name) && !name.includes('CPU')),
    [],
  )
  t.end()
})

t.test('memory is read from /proc/PID/status', (t) => {
  t.equal(highWater('Name:\tx\nVmPeak:\t    900 kB\nVmHWM:\t     708 kB\nVmRSS:\t 600 kB\n'), 708 * 1024)
  t.equal(highWater('Name:\tx\nState:\tZ (zombie)\n'), undefined, 'a process that has ended')
  t.end()
})
