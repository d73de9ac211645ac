import { CNI_CODE, CniFailure } from './error.js'

/** What CNI_ARGS may ask for; what runtimes of Kubernetes tell of a pod is among it. */
export interface CniArgs {
  /** Namespace and name of the pod. */
  readonly pod: string | undefined
  readonly podUid: string | undefined
  /** Addresses to give, as they were written. */
  readonly ips: readonly string[]
  readonly mac: string | undefined
}

const KNOWN = new Set([
  'IgnoreUnknown',
  'IP',
  'MAC',
  'K8S_POD_NAMESPACE',
  'K8S_POD_NAME',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
])

const TRUE = new Set(['1', 'true'])
const FALSE = new Set(['0', 'false'])

const problem = (text: string): CniFailure =>
  new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, `CNI_ARGS: ${text}`, 'CNI_ARGS')

/**
 * Reads CNI_ARGS: `KEY=VALUE` pairs with semicolons between them. A key that nobody knows is refused unless
 * `IgnoreUnknown` is set, as the reference plugins do: the runtime asked for something that it will not get.
 * @throws CniFailure naming the pair
 */
export function parseArgs(text: string): CniArgs {
  const pairs = new Map(
    text
      .split(';')
      .filter((pair) => pair !== '')
      .map(readPair),
  )
  const unknown = [...pairs.keys()].find((key) => !KNOWN.has(key))
  if (unknown !== undefined && !readFlag(pairs.get('IgnoreUnknown')))
    throw problem(`'${unknown}' is not a known key, and IgnoreUnknown is not set`)
  const value = (key: string): string | undefined => (pairs.get(key) === '' ? undefined : pairs.get(key))
  const [namespace, name] = [value('K8S_POD_NAMESPACE'), value('K8S_POD_NAME')]
  return {
    pod: namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`,
    podUid: value('K8S_POD_UID'),
    ips: value('IP')?.split(',') ?? [],
    mac: value('MAC'),
  }
}

function readPair(pair: string): readonly [key: string, value: string] {
  const at = pair.indexOf('=')
  if (at <= 0) throw problem(`'${pair}' is not KEY=VALUE`)
  return [pair.slice(0, at), pair.slice(at + 1)]
}

function readFlag(value: string | undefined): boolean {
  if (value === undefined || FALSE.has(value.toLowerCase())) return false
  if (TRUE.has(value.toLowerCase())) return true
  throw problem(`IgnoreUnknown '${value}' is neither true nor false`)
}
