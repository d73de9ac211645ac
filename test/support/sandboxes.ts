import { Responder } from '../../src/cli/demo/responder.js'
import { createPodNamespace } from '../../src/cli/demo/segment.js'
import { type Place } from '../../src/cli/demo/place.js'
import { deleteNamespace } from '../../src/kernel/netns.js'
import { type TestContext } from './node.js'

/** Network namespaces as a runtime makes them, attached to nothing; they go with the test. */
export class Sandboxes {
  readonly #all = new Map<string, Sandbox>()

  constructor(t: TestContext) {
    t.teardown(() => {
      for (const name of [...this.#all.keys()]) this.delete(name)
    })
  }

  async create(name: string): Promise<Sandbox> {
    const sandbox = new Sandbox(name, await createPodNamespace(name))
    this.#all.set(name, sandbox)
    return sandbox
  }

  delete(name: string): void {
    this.#all.get(name)?.close()
    if (this.#all.delete(name)) deleteNamespace(name)
  }
}

export class Sandbox {
  readonly place: Place
  readonly #responder: Responder

  constructor(name: string, place: Place) {
    this.place = place
    this.#responder = new Responder(place, { pod: name, node: '' })
  }

  /** Answers at a TCP and a UDP port with the sandbox's name. */
  async serve(port: number): Promise<void> {
    const ports = (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port, undeclared: false }))
    const problems = await this.#responder.listen(ports)
    if (problems.length > 0) throw new Error(problems.join('; '))
  }

  close(): void {
    this.#responder.close()
    this.place.close()
  }
}
