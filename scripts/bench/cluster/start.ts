import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../../src/base/errors.js'
import { type Agent } from '../../../src/cli/demo/agents.js'
import { type Place } from '../../../src/cli/demo/place.js'
import { podsOf, type Resource, resourcesOf } from '../../../src/kube/api/resource.js'
import { type Surroundings } from '../benchmark.js'
import { type Samples } from '../samples.js'
import { endpointsInKernel } from './kernel.js'
import { type Home, type Stage } from './stage.js'

/** Starts of agents on nodes that none has been on: time, memory, bytes, requests. */

type Measurements = Pick<Surroundings, 'signal' | 'progress'> & { readonly samples: Samples }

/** Time after which memory is looked at: what was needed for the start alone is given back by then, or never. */
const IDLE_MS = 3000

/** Of agents that know of their own pods, and of those that know of all. */
export const VARIANTS = [
  { title: '', policed: false },
  { title: ' with a NetworkPolicy', policed: true },
] as const

type Variant = (typeof VARIANTS)[number]

/** Names of measurements, of a variant. */
export const START = {
  TIME: 'start',
  RSS: 'RSS',
  PSS: 'PSS',
  BYTES: 'bytes received',
  REQUESTS: 'lists',
  PLAIN_TIME: 'plain start',
  PLAIN_BYTES: 'plain bytes',
  PLAIN_REQUESTS: 'plain lists',
} as const
export const NODE_START = 'node -e 0'

export async function measureStarts(stage: Stage, { samples, progress, signal }: Measurements): Promise<void> {
  for (let round = 0; round < stage.starts; round++)
    for (const variant of VARIANTS) {
      signal.throwIfAborted()
      progress.say(`start ${round + 1} of ${stage.starts}${variant.title}`)
      await stage.police(variant.policed)
      const home = stage.home()
      // The server makes some things at the first request for them, for whom it is does not matter.
      if (round === 0) await stage.plain.readLists(listsOf(home, variant))
      const add = (name: string, value: number): void => samples.add(`${name}${variant.title}`, value)
      samples.add(NODE_START, startOfNode())
      await measurePlain(stage, listsOf(home, variant), add)
      await measureStart(stage, home, add)
    }
  await stage.police(false)
}

type Add = (name: string, value: number) => void

/** What an agent asks for; of a cluster that allocates the nodes' subnets, as this one, it wants no claims. */
const listsOf = ({ node }: Home, { policed }: Variant): Resource[] =>
  resourcesOf({ node: node.name, claimNamespace: undefined }).map((resource) =>
    resource.kind === 'Pod' ? { kind: 'Pod', path: resource.path, ...podsOf(node.name, policed) } : resource,
  )

async function measurePlain({ plain }: Stage, lists: readonly Resource[], add: Add): Promise<void> {
  const { ms, bytes, requests } = await plain.readLists(lists)
  add(START.PLAIN_TIME, ms)
  add(START.PLAIN_BYTES, megabytes(bytes))
  add(START.PLAIN_REQUESTS, requests)
}

async function measureStart(stage: Stage, home: Home, add: Add): Promise<void> {
  const lists = await listsServed(stage)
  const received = receivedBytes(home.place)
  const begun = performance.now()
  const agent = stage.startAgent(home)
  await stage.programmed(agent)
  add(START.TIME, performance.now() - begun)
  add(START.BYTES, megabytes(receivedBytes(home.place) - received))
  add(START.REQUESTS, (await listsServed(stage)) - lists)
  await sleep(IDLE_MS)
  const { rss, pss } = memoryOf(agent)
  add(START.RSS, megabytes(rss))
  add(START.PSS, megabytes(pss))
  await proveEndpoints(stage, home)
  await stage.stopAgent()
}

/** What the agent says is one thing, what the kernel has another. */
export async function proveEndpoints({ endpoints }: Stage, { place }: Home): Promise<void> {
  const count = await endpointsInKernel(place)
  if (count !== endpoints)
    throw new NetloomError('internal', `the kernel has ${count} endpoints where ${endpoints} were to be`)
}

const megabytes = (bytes: number): number => bytes / 1e6

function startOfNode(): number {
  const begun = performance.now()
  const { status } = spawnSync(process.execPath, ['-e', '0'])
  if (status !== 0) throw new NetloomError('internal', 'Node does not start')
  return performance.now() - begun
}

const KIB = 1024

function memoryOf({ pid }: Agent): { rss: number; pss: number } {
  const field = (file: string, name: string): number => {
    const text = readFileSync(`/proc/${pid ?? 0}/${file}`, 'utf8')
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) * KIB
  }
  return { rss: field('status', 'VmRSS'), pss: field('smaps_rollup', 'Pss') }
}

/** Bytes that a node's network has received: all of them are the agent's, and TCP, TLS and Ethernet count. */
function receivedBytes(place: Place): number {
  const text = place.run(() => readFileSync('/proc/thread-self/net/dev', 'utf8'))
  return Number(/^\s*eth0:\s*(\d+)/m.exec(text)?.[1])
}

/** Lists that the API server has answered, by its own word. Nobody but the agent asks for any meanwhile. */
async function listsServed({ plane }: Stage): Promise<number> {
  const { text } = await plane.admin.text('/metrics')
  return [...text.matchAll(LISTS)].reduce((sum, [, count]) => sum + Number(count), 0)
}

const LISTS = /^apiserver_request_total\{[^}]*verb="LIST"[^}]*\} (\S+)$/gm
