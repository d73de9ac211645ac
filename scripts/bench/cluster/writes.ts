import { setTimeout as sleep } from 'node:timers/promises'
import { LOAD_NAMESPACE, sliceName } from '../../../test/support/cluster-load.js'
import { type Surroundings } from '../benchmark.js'
import { type Samples } from '../samples.js'
import { Awaited } from './awaited.js'
import { endpointText, routeText, watchKernel } from './kernel.js'
import { proveEndpoints } from './start.js'
import { type Stage } from './stage.js'

/**
 * From a write to the API to netlink: the clock starts when the write is sent, and ends when the kernel notifies of
 * what it led to. Beside it, a client that only watches: when it is told of the same write.
 */

type Measurements = Pick<Surroundings, 'signal' | 'progress'> & { readonly samples: Samples }

/** Longer than anything that a change leaves to do. */
const PAUSE_MS = 50
/** Changes before those that count: an agent just started has not been optimized yet. */
const WARM_UP = 5

/** Something that is changed again and again. */
interface Change {
  readonly name: string
  /** What is watched. */
  readonly path: string
  /** Each round's is another than the one before. */
  readonly address: (round: number) => string
  /** How the kernel tells of it. */
  readonly text: (address: string) => string
  readonly write: (stage: Stage, address: string, round: number) => Promise<unknown>
}

/** Name of the measurements of the client that only watches. */
export const watched = (name: string): string => `${name} watched`

const SLICES = '/apis/discovery.k8s.io/v1'

/** A node that nobody runs: all of it is its object. */
const PEER = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'bench-peer' },
  spec: { podCIDR: '10.250.0.0/24', podCIDRs: ['10.250.0.0/24'] },
}

const PEERS = 100

export const ENDPOINT: Change = {
  name: 'endpoint',
  path: `${SLICES}/endpointslices`,
  address: (round) => `10.251.${round >> 8}.${round & 255}`,
  text: endpointText,
  write: ({ plane, load }, address, round) =>
    plane.admin.call({
      method: 'PATCH',
      patch: 'json',
      path: `${SLICES}/namespaces/${LOAD_NAMESPACE}/endpointslices/${sliceName(round % load.services)}`,
      body: [{ op: 'replace', path: '/endpoints/0/addresses/0', value: address }],
    }),
}

export const ROUTE: Change = {
  name: 'route',
  path: '/api/v1/nodes',
  address: (round) => `172.30.0.${100 + (round % PEERS)}`,
  text: routeText,
  write: ({ plane }, address) =>
    plane.admin.call({
      method: 'PATCH',
      path: `/api/v1/nodes/${PEER.metadata.name}/status`,
      patch: 'merge',
      body: { status: { addresses: [{ type: 'InternalIP', address }] } },
    }),
}

/** Puts both into `samples`, in milliseconds. */
export async function measureWrites(stage: Stage, rounds: number, measurements: Measurements): Promise<void> {
  const home = stage.home()
  measurements.progress.say(`${rounds} changes of an endpoint and of a route`)
  await stage.plane.create(PEER)
  await stage.programmed(stage.startAgent(home))
  const [kernel, watch] = [new Awaited(), new Awaited()]
  const closes = [watchKernel(home.place, kernel)]
  try {
    for (const { path } of [ENDPOINT, ROUTE]) closes.push(await stage.plain.watch(path, watch))
    for (let round = 0; round < rounds + WARM_UP; round++)
      for (const change of [ENDPOINT, ROUTE])
        await measureWrite(change, { stage, kernel, watch, round, ...measurements })
    await proveEndpoints(stage, home)
  } finally {
    for (const close of closes) close()
    await stage.stopAgent()
  }
}

interface Round extends Measurements {
  readonly stage: Stage
  readonly kernel: Awaited
  readonly watch: Awaited
  readonly round: number
}

async function measureWrite(change: Change, { stage, kernel, watch, round, signal, samples }: Round): Promise<void> {
  await sleep(PAUSE_MS)
  signal.throwIfAborted()
  const address = change.address(round)
  const seen = Promise.all([kernel.expect(change.text(address)), watch.expect(`"${address}"`)])
  const begun = performance.now()
  const [[programmed, told]] = await Promise.all([seen, change.write(stage, address, round)])
  if (round < WARM_UP) return
  samples.add(change.name, programmed - begun)
  samples.add(watched(change.name), told - begun)
}
