import { Talk } from '../../src/kernel/talk.js'
import { type TestContext } from './node.js'

/** Counts what is said to the kernel, whoever in this process says it. */
export class TalkCounter {
  #dumps: string[] = []
  #batches: number[] = []

  constructor(t: TestContext) {
    const dumped = (operation: string): unknown => this.#dumps.push(operation)
    const sent = (count: number): unknown => this.#batches.push(count)
    const own = Object.getOwnPropertyDescriptors(Talk.prototype)
    const [dump, pipeline] = [own.dump.value, own.pipeline.value] as [Talk['dump'], Talk['pipeline']]
    Talk.prototype.dump = function (this: Talk, request) {
      dumped(request.operation)
      return dump.call(this, request)
    }
    Talk.prototype.pipeline = function (this: Talk, requests) {
      sent(requests.filter(({ operation }) => !/^(find|list)/.test(operation)).length)
      return pipeline.call(this, requests)
    }
    t.teardown(() => Object.defineProperties(Talk.prototype, { dump: own.dump, pipeline: own.pipeline }))
  }

  /** What was listed since the last call. */
  dumps(): string[] {
    return this.#dumps.splice(0)
  }

  /** How many requests that change something each pipeline had since the last call; those without any left out. */
  batches(): number[] {
    return this.#batches.splice(0).filter((count) => count > 0)
  }
}
