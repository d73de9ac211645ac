import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../../src/base/errors.js'
import { type Place } from '../../../src/cli/demo/place.js'
import { createPodNamespace } from '../../../src/cli/demo/segment.js'
import { Applier } from '../../../src/kernel/apply.js'
import { deleteNamespace, namespacePath } from '../../../src/kernel/netns.js'
import { observeLink } from '../../../src/kernel/observe.js'
import { type Talk } from '../../../src/kernel/talk.js'

/** A pod, as far as a CNI plugin knows one. */
export interface PodNamespace {
  readonly name: string
  /** No two of a run have the same. */
  readonly number: number
  /** Path of its network namespace. */
  readonly netns: string
  readonly place: Place
}

/** One end is put into the namespace that is deleted last, the other end goes when the kernel takes that one apart. */
const CANARY = 'canary'
const POLL_MS = 5
const TIMEOUT_MS = 60_000

/** Makes pods' namespaces and takes them away, without either falling into the time of what is measured. */
export class PodNamespaces {
  readonly #route: Talk
  #made = 0

  /** @param route talks to the namespace of this process */
  constructor(route: Talk) {
    this.#route = route
  }

  async make(count: number): Promise<PodNamespace[]> {
    const pods: PodNamespace[] = []
    for (let i = 0; i < count; i++) {
      const number = ++this.#made
      const name = `pod-${number}`
      pods.push({ name, number, netns: namespacePath(name), place: await createPodNamespace(name) })
    }
    return pods
  }

  /**
   * Deletes namespaces and waits until the kernel is through with them. It takes them apart in the background, in the
   * order of their end, and needs the lock that every change to a link needs: what runs meanwhile is slowed down.
   */
  async retire(pods: readonly PodNamespace[]): Promise<void> {
    const [last] = await this.make(1)
    if (last === undefined) return
    const canary = { kind: 'veth', name: CANARY, peer: { name: CANARY, netnsFd: last.place.namespace } } as const
    await new Applier({ route: this.#route }).apply([{ kind: 'link.add', link: canary }])
    for (const { place, name } of [...pods, last]) {
      place.close()
      deleteNamespace(name)
    }
    const deadline = performance.now() + TIMEOUT_MS
    while ((await observeLink(this.#route, CANARY)) !== undefined) {
      if (performance.now() > deadline)
        throw new NetloomError('internal', `namespaces of pods still stand after ${TIMEOUT_MS} ms`)
      await sleep(POLL_MS)
    }
  }
}
