import { type CniVersion, isCniVersion, LATEST_VERSION, CNI_VERSIONS } from './version.js'
import { CNI_CODE, CniFailure } from './error.js'
import { type Attachment } from '../model/lease.js'

/** A call of the executable: the variables CNI_* and standard input. */

export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const
export type Command = (typeof COMMANDS)[number]

export interface RawRequest {
  readonly command?: unknown
  readonly containerId?: unknown
  readonly netns?: unknown
  readonly ifname?: unknown
  readonly args?: unknown
  readonly config?: unknown
}

/** The network configuration, as far as netloom uses it. */
export interface NetworkConfig {
  readonly cniVersion: CniVersion
  /** Of the network. */
  readonly name: string
  /** Bytes; `auto` follows the node's own link. */
  readonly mtu: number | 'auto'
  readonly dns: Readonly<Record<string, unknown>> | undefined
  /** GC: what the runtime still has (CNI specification 1.1.0, "GC"). */
  readonly validAttachments: readonly { readonly containerId: string; readonly ifname: string }[] | undefined
}

export interface CniRequest {
  readonly command: Command
  readonly config: NetworkConfig
  readonly containerId: string
  readonly ifname: string
  /** Empty where DEL was called without one. */
  readonly netns: string
  /** Namespace and name of the pod, from CNI_ARGS of Kubernetes runtimes. */
  readonly pod: string | undefined
}

/** Variables that each verb cannot do without (CNI specification 1.1.0, "Parameters"). */
const NEEDED: Readonly<Record<Command, readonly ('containerId' | 'netns' | 'ifname')[]>> = {
  ADD: ['containerId', 'netns', 'ifname'],
  CHECK: ['containerId', 'netns', 'ifname'],
  DEL: ['containerId', 'ifname'],
  GC: [],
  STATUS: [],
  VERSION: [],
}

const VARIABLE = {
  command: 'CNI_COMMAND',
  containerId: 'CNI_CONTAINERID',
  netns: 'CNI_NETNS',
  ifname: 'CNI_IFNAME',
  args: 'CNI_ARGS',
} as const

/** CNI specification: "must start with an alphanumeric character, optionally followed by ...". */
const IDENTIFIER = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
/** dev_valid_name of the kernel, and no control characters. */
const BAD_INTERFACE = /[\s/:\u0000-\u001f\u007f]/

/**
 * Reads a call.
 * @throws CniFailure with the code of the specification, naming the variable or the key.
 */
export function parseRequest(raw: RawRequest): CniRequest {
  const command = COMMANDS.find((name) => name === raw.command)
  if (command === undefined) throw environment('command', `'${text(raw, 'command')}' is not a CNI command`)
  const config = parseConfig(raw.config, command)
  for (const name of NEEDED[command]) if (text(raw, name) === '') throw environment(name, `is required for ${command}`)
  const request = { containerId: text(raw, 'containerId'), ifname: text(raw, 'ifname'), netns: text(raw, 'netns') }
  checkEnvironment(request)
  return { command, config, ...request, pod: podOf(text(raw, 'args')) }
}

export const attachmentOf = ({ config, containerId, ifname }: CniRequest): Attachment => ({
  network: config.name,
  containerId,
  ifname,
})

function text(raw: RawRequest, name: keyof typeof VARIABLE): string {
  const value = raw[name]
  return typeof value === 'string' ? value : ''
}

const environment = (name: keyof typeof VARIABLE, problem: string): CniFailure =>
  new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, `${VARIABLE[name]} ${problem}`, VARIABLE[name])

function checkEnvironment({ containerId, ifname, netns }: Pick<CniRequest, 'containerId' | 'ifname' | 'netns'>): void {
  if (containerId !== '' && !IDENTIFIER.test(containerId))
    throw environment('containerId', `'${containerId}' has characters that an identifier may not have`)
  const tooLong = Buffer.byteLength(ifname) > 15
  if (ifname !== '' && (tooLong || BAD_INTERFACE.test(ifname) || ifname === '.' || ifname === '..'))
    throw environment('ifname', `'${ifname}' is not a name that an interface can have (at most 15 bytes)`)
  if (netns !== '' && !netns.startsWith('/')) throw environment('netns', `'${netns}' is not an absolute path`)
  if (netns.includes('\0')) throw environment('netns', 'has a NUL in it')
}

/** Pairs of CNI_ARGS that tell which pod it is: K8S_POD_NAMESPACE and K8S_POD_NAME. */
function podOf(args: string): string | undefined {
  const value = (name: string): string =>
    args
      .split(';')
      .find((pair) => pair.startsWith(`${name}=`))
      ?.slice(name.length + 1) ?? ''
  const [namespace, name] = [value('K8S_POD_NAMESPACE'), value('K8S_POD_NAME')]
  return namespace === '' || name === '' ? undefined : `${namespace}/${name}`
}

const key = (name: string, problem: string): CniFailure =>
  new CniFailure(CNI_CODE.INVALID_CONFIG, `${name}: ${problem}`, name)

type Json = Readonly<Record<string, unknown>>

const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

function parseConfig(bytes: unknown, command: Command): NetworkConfig {
  const config = parseJson(bytes)
  const cniVersion = versionOf(config)
  const name = config['name']
  if (typeof name !== 'string' || name === '') throw key('name', 'is missing')
  if (!IDENTIFIER.test(name)) throw key('name', `'${name}' has characters that a network's name may not have`)
  const dns = config['dns']
  if (dns !== undefined && !isMap(dns)) throw key('dns', 'is not a map')
  return {
    cniVersion,
    name,
    mtu: mtuOf(config['mtu']),
    dns,
    validAttachments: command === 'GC' ? validAttachmentsOf(config['cni.dev/valid-attachments']) : undefined,
  }
}

function parseJson(bytes: unknown): Json {
  const problem = (message: string): CniFailure => new CniFailure(CNI_CODE.DECODE, `network configuration: ${message}`)
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) throw problem('nothing on standard input')
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (isMap(value)) return value
  } catch (error) {
    throw problem(error instanceof Error ? error.message : String(error))
  }
  throw problem('is not a JSON object')
}

function versionOf(config: Json): CniVersion {
  const version = config['cniVersion']
  if (version === undefined) throw key('cniVersion', 'is missing')
  if (typeof version === 'string' && isCniVersion(version)) return version
  const message = `cniVersion: ${JSON.stringify(version)} is none of ${CNI_VERSIONS.join(', ')}`
  throw new CniFailure(CNI_CODE.INCOMPATIBLE_VERSION, message, 'cniVersion')
}

/** The smallest MTU is that of IPv6 (RFC 8200, section 5), the largest what an IP packet's length field can say. */
const MTU = { min: 1280, max: 65_535 }

function mtuOf(mtu: unknown): number | 'auto' {
  if (mtu === undefined || mtu === 'auto' || mtu === 0) return 'auto'
  if (typeof mtu === 'number' && Number.isInteger(mtu) && mtu >= MTU.min && mtu <= MTU.max) return mtu
  throw key('mtu', `${JSON.stringify(mtu)} is neither "auto" nor a number from ${MTU.min} to ${MTU.max}`)
}

function validAttachmentsOf(list: unknown): NonNullable<NetworkConfig['validAttachments']> {
  const name = 'cni.dev/valid-attachments'
  if (!Array.isArray(list)) throw key(name, 'is not a list')
  return list.map((entry: unknown, i) => {
    const { containerID: containerId, ifname } = isMap(entry) ? entry : {}
    if (typeof containerId !== 'string' || typeof ifname !== 'string')
      throw key(`${name}[${i}]`, 'needs containerID and ifname')
    return { containerId, ifname }
  })
}

/** The version to answer in where the call itself could not be read. */
export function versionForErrors(raw: RawRequest): string {
  try {
    const version = parseJson(raw.config)['cniVersion']
    return typeof version === 'string' && isCniVersion(version) ? version : LATEST_VERSION
  } catch {
    return LATEST_VERSION
  }
}
