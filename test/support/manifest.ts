import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { ROOT } from './cni-exec.js'

/** cni-conf/netloom.yaml, as far as tests look into it. */

export interface ManifestObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly rules?: readonly PolicyRule[]
  readonly roleRef?: { readonly kind: string; readonly name: string }
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace: string }[]
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: DaemonSetSpec
}

export interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

interface DaemonSetSpec {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> }
  readonly updateStrategy: { readonly type: string; readonly rollingUpdate: { readonly maxUnavailable: number } }
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> }
    readonly spec: PodSpec
  }
}

export interface PodSpec {
  readonly [key: string]: unknown
  readonly containers: readonly Container[]
  readonly volumes: readonly Volume[]
}

export interface Container {
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string }[]
  readonly securityContext: {
    readonly readOnlyRootFilesystem: boolean
    readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] }
  } & Readonly<Record<string, unknown>>
  readonly volumeMounts: readonly {
    readonly name: string
    readonly mountPath: string
    readonly readOnly?: boolean
    readonly mountPropagation?: string
  }[]
  readonly [probe: `${string}Probe`]: {
    readonly httpGet: { readonly host: string; readonly port: number; readonly path: string }
  }
}

export interface Volume {
  readonly name: string
  readonly hostPath?: { readonly path: string; readonly type: string }
  readonly [source: string]: unknown
}

export const MANIFEST_TEXT = readFileSync(join(ROOT, 'cni-conf/netloom.yaml'), 'utf8')

export const MANIFEST: readonly ManifestObject[] = parseAllDocuments(MANIFEST_TEXT).map((document) => {
  if (document.errors.length > 0) throw new Error(document.errors.join('; '))
  return document.toJS() as ManifestObject
})

export function manifestObject(kind: string): ManifestObject {
  const [object, ...more] = MANIFEST.filter((candidate) => candidate.kind === kind)
  if (object === undefined || more.length > 0) throw new Error(`not just one ${kind}`)
  return object
}

/** The pod of the DaemonSet, and its one container. */
export function agentPod(): { readonly pod: PodSpec; readonly container: Container } {
  const pod = manifestObject('DaemonSet').spec?.template.spec
  const [container, ...more] = pod?.containers ?? []
  if (pod === undefined || container === undefined || more.length > 0) throw new Error('not just one container')
  return { pod, container }
}
