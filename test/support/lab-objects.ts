import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileOf, type KubeValue, StateDirectory } from '../../src/cli/demo/state.js'
import { type KubeInput } from './cluster-client.js'
import { ControlPlane, type ControlPlaneOptions } from './control-plane.js'
import { MANIFEST } from './manifest.js'

/** Where a lab's objects are, and how agents get at them. */
export interface LabObjects {
  /** Creates or replaces. */
  write(...objects: readonly KubeValue[]): Promise<void>
  remove(object: KubeValue): Promise<void>
  /** `--source` of an agent, and what else of its command line goes with it. */
  readonly source: string
  readonly args: readonly string[]
  close(): Promise<void>
}

/** A folder of YAML. */
export class DirectoryObjects implements LabObjects {
  readonly args = []
  readonly #directory = mkdtempSync(join(tmpdir(), 'netloom-objects-'))
  readonly #state = new StateDirectory(join(this.#directory, 'objects'))

  get source(): string {
    return `dir:${this.#state.path}`
  }

  async write(...objects: readonly KubeValue[]): Promise<void> {
    await this.#state.write(objects)
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async remove(object: KubeValue): Promise<void> {
    rmSync(join(this.#state.path, fileOf(object)))
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async close(): Promise<void> {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Whom the manifest makes the agents. */
export const SERVICE_ACCOUNT = { namespace: 'netloom', name: 'netloom' } as const

/** What else a lab's cluster is to be like. */
export interface ClusterOptions extends ControlPlaneOptions {
  /** Flags of all agents. */
  readonly agentArgs?: readonly string[]
  /** Nodes have subnets, as a cluster's allocator gives them; true unless given. */
  readonly allocated?: boolean
}

/**
 * A real API server. Agents are to it what the shipped manifest makes them: with the token of its service account, so
 * a permission that is missing there is missing here.
 */
export class ClusterObjects implements LabObjects {
  readonly source = 'api'
  readonly args: readonly string[]
  readonly plane: ControlPlane
  readonly #allocated: boolean

  private constructor(plane: ControlPlane, args: readonly string[], allocated: boolean) {
    this.plane = plane
    this.args = args
    this.#allocated = allocated
  }

  static async start({ agentArgs = [], allocated = true, ...options }: ClusterOptions): Promise<ClusterObjects> {
    const plane = await ControlPlane.start(options)
    try {
      await plane.apply(...MANIFEST.filter(({ kind }) => kind !== 'DaemonSet').map((object) => object as KubeInput))
      const token = await plane.serviceAccountToken(SERVICE_ACCOUNT.namespace, SERVICE_ACCOUNT.name)
      const kubeconfig = plane.kubeconfig({ token })
      const claims = ['--claim-namespace', SERVICE_ACCOUNT.namespace]
      return new ClusterObjects(plane, ['--kubeconfig', kubeconfig, ...claims, ...agentArgs], allocated)
    } catch (error) {
      await plane.stop()
      throw error
    }
  }

  async write(...objects: readonly KubeValue[]): Promise<void> {
    for (const object of objects as readonly KubeInput[]) {
      const { status, ...given } = object
      const rest: KubeInput = object.kind === 'Node' && !this.#allocated ? { ...given, spec: {} } : given
      await this.plane.apply(rest)
      // Not applied: of a Node's addresses, a server that applies takes one of each type.
      if (status !== undefined) await this.plane.admin.patch(object, { status }, '/status')
    }
  }

  async remove(object: KubeValue): Promise<void> {
    await this.plane.delete(object as KubeInput)
  }

  async close(): Promise<void> {
    await this.plane.stop()
  }
}
