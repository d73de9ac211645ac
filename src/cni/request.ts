import { type CniArgs, parseArgs } from './args.js'
import { IDENTIFIER, type NetworkConfig, parseConfig } from './config.js'
import { isCniVersion, LATEST_VERSION, requireVerb } from './version.js'
import { CNI_CODE, CniFailure } from './error.js'
import { type Attachment } from '../model/lease.js'

/** A call of the executable: the variables CNI_* and standard input. */

/** All but VERSION, which asks for nothing that would have to be read. */
export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
export type Command = (typeof COMMANDS)[number]

export interface RawRequest {
  readonly command?: unknown
  readonly containerId?: unknown
  readonly netns?: unknown
  readonly ifname?: unknown
  readonly args?: unknown
  readonly path?: unknown
  readonly config?: unknown
  readonly again?: unknown
}

export interface CniRequest {
  readonly command: Command
  readonly config: NetworkConfig
  readonly containerId: string
  readonly ifname: string
  /** Empty where DEL was called without one. */
  readonly netns: string
  readonly args: CniArgs
  /** An agent that went away may have begun with this call. */
  readonly again: boolean
  /** The call as it came, for a plugin that is called by ours. */
  readonly environment: Readonly<Record<string, string>>
}

/** Variables that each verb cannot do without (CNI specification 1.1.0, "Parameters"). */
const NEEDED: Readonly<Record<Command, readonly ('containerId' | 'netns' | 'ifname')[]>> = {
  ADD: ['containerId', 'netns', 'ifname'],
  CHECK: ['containerId', 'netns', 'ifname'],
  DEL: ['containerId', 'ifname'],
  GC: [],
  STATUS: [],
}

const VARIABLE = {
  command: 'CNI_COMMAND',
  containerId: 'CNI_CONTAINERID',
  netns: 'CNI_NETNS',
  ifname: 'CNI_IFNAME',
  args: 'CNI_ARGS',
  path: 'CNI_PATH',
} as const

/** dev_valid_name of the kernel, and no control characters. */
const BAD_INTERFACE = /[\s/:\u0000-\u001f\u007f]/

/** What DEL, GC and STATUS know of CNI_ARGS: nothing that is wrong in it may keep a container from being removed. */
const NO_ARGS: CniArgs = { pod: undefined, podUid: undefined, ips: [], mac: undefined }

/**
 * Reads a call.
 * @throws CniFailure with the code of the specification, naming the variable or the key.
 */
export function parseRequest(raw: RawRequest): CniRequest {
  const command = COMMANDS.find((name) => name === raw.command)
  if (command === undefined) throw environment('command', `'${text(raw, 'command')}' is not a CNI command`)
  const config = parseConfig(raw.config)
  requireVerb(command, config.cniVersion)
  for (const name of NEEDED[command]) if (text(raw, name) === '') throw environment(name, `is required for ${command}`)
  const request = { containerId: text(raw, 'containerId'), ifname: text(raw, 'ifname'), netns: text(raw, 'netns') }
  checkEnvironment(request)
  const args = command === 'ADD' || command === 'CHECK' ? parseArgs(text(raw, 'args')) : NO_ARGS
  return { command, config, ...request, args, again: raw.again === true, environment: environmentOf(raw) }
}

const environmentOf = (raw: RawRequest): Readonly<Record<string, string>> =>
  Object.fromEntries(
    (Object.keys(VARIABLE) as (keyof typeof VARIABLE)[])
      .map((name) => [VARIABLE[name], text(raw, name)])
      .filter(([, value]) => value !== ''),
  ) as Record<string, string>

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

/** The version to answer in where the call itself could not be read. */
export function versionForErrors(raw: RawRequest): string {
  try {
    const version = (JSON.parse(Buffer.from(raw.config as Uint8Array).toString()) as { cniVersion?: unknown })
      .cniVersion
    return typeof version === 'string' && isCniVersion(version) ? version : LATEST_VERSION
  } catch {
    return LATEST_VERSION
  }
}
