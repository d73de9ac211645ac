import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { type Ip } from '../../base/ip.js'
import { Cursor } from '../../model/cursor.js'
import { keyOf, readClusterScoped, readNamespaced } from '../../model/meta.js'

/** The folder of YAML that stands for the API server: one file for each object. */

export type KubeValue = Readonly<Record<string, unknown>>

/** Kinds that are in no namespace, of those the demo keeps. */
const CLUSTER_SCOPED: ReadonlySet<unknown> = new Set(['Node', 'Namespace'])

/** `Service default/web` is services/default.web.yaml. No name of a namespace has a dot, so each object has its own. */
export function fileOf(value: KubeValue): string {
  const object = new Cursor(value)
  const clusterScoped = CLUSTER_SCOPED.has(value['kind'])
  const identity = clusterScoped ? readClusterScoped(object) : readNamespaced(object)
  return `${folderOf(object.field('kind').string())}/${keyOf(identity).replace('/', '.')}.yaml`
}

const folderOf = (kind: string): string => {
  const lower = kind.toLowerCase()
  return lower.endsWith('y') ? `${lower.slice(0, -1)}ies` : lower.endsWith('s') ? lower : `${lower}s`
}

export class StateDirectory {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** Writes or replaces objects; readers see each as a whole or not at all. */
  async write(values: readonly KubeValue[]): Promise<void> {
    for (const value of values)
      await this.#replace(join(this.path, fileOf(value)), stringify(value, { aliasDuplicateObjects: false }))
  }

  async #replace(file: string, text: string): Promise<void> {
    const draft = join(dirname(file), `.draft-${process.pid}-${this.#drafts++}`)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(draft, text)
    await rename(draft, file)
  }

  #drafts = 0
}

/** A pod's object as the kubelet writes it once the pod runs. */
export const runningPod = (value: KubeValue, ips: readonly Ip[], hostIP: string): KubeValue => ({
  ...value,
  status: {
    phase: 'Running',
    hostIP,
    podIP: ips[0]?.address,
    podIPs: ips.map(({ address }) => ({ ip: address })),
    conditions: [{ type: 'Ready', status: 'True' }],
  },
})
