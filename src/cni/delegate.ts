import { isAbsolute, join } from 'node:path'
import { NetloomError } from '../base/errors.js'
import { Cursor } from '../model/cursor.js'
import { CNI_CODE, CniFailure, type ForeignError, PluginFailure } from './error.js'
import { type CniResult, readResult } from './result.js'
import { type CniVersion } from './version.js'

/** How netloom has another plugin do a part of its work (CNI specification, "Plugin Delegation"): IP addresses. */

export const DELEGATED_COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
export type DelegatedCommand = (typeof DELEGATED_COMMANDS)[number]

/** The variables CNI_* as netloom itself was called with them; an empty one is none. */
export interface DelegatedVariables {
  readonly containerId?: string
  readonly netns?: string
  readonly ifname?: string
  readonly args?: string
  /** Where plugins are: folders, separated by colons. */
  readonly path?: string
}

export interface Delegation {
  /** Name of the plugin. */
  readonly type: string
  readonly command: DelegatedCommand
  /** Of the configuration. */
  readonly cniVersion: CniVersion
  readonly env: DelegatedVariables
  /** The whole network configuration, as it came: the plugin is to see what netloom saw. */
  readonly config: Uint8Array
  /** How long it may take; an ADD that failed may take as long again to be undone. */
  readonly timeoutMs: number
  /** Told of each line that the plugin wrote to standard error. */
  readonly log?: (line: string) => void
}

/** What a plugin may answer at most. A result with a thousand addresses takes a tenth of it. */
export const MAX_ANSWER_BYTES = 1 << 20
/** What is kept of its standard error: the end. */
export const KEPT_STDERR_BYTES = 1 << 14

/** How a plugin ended. */
export interface Outcome {
  /** Its exit code; null where a signal ended it. */
  readonly exit: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

const VARIABLES: Readonly<Record<keyof DelegatedVariables, string>> = {
  containerId: 'CNI_CONTAINERID',
  netns: 'CNI_NETNS',
  ifname: 'CNI_IFNAME',
  args: 'CNI_ARGS',
  path: 'CNI_PATH',
}

/**
 * The whole environment of the plugin: the specification's variables, and where it finds programs.
 * @param searchPath PATH, for plugins that call `iptables` and the like
 */
export function delegatedEnvironment(
  { command, env }: Pick<Delegation, 'command' | 'env'>,
  searchPath: string,
): Record<string, string> {
  const given = Object.entries(VARIABLES).flatMap(([name, variable]) => {
    const value = env[name as keyof DelegatedVariables]
    return value === undefined || value === '' ? [] : [[variable, value] as const]
  })
  return { PATH: searchPath, CNI_COMMAND: command, ...Object.fromEntries(given) }
}

/**
 * Where the plugin may be, in this order. Folders that are not absolute are passed over: they would mean another place
 * for the agent than for whoever called it.
 * @throws CniFailure where the name is more than a name, or there is nowhere to look
 */
export function candidates({ type, env }: Pick<Delegation, 'type' | 'env'>): readonly string[] {
  if (type === '' || type === '.' || type === '..' || /[/\\\0]/.test(type))
    throw new CniFailure(CNI_CODE.INVALID_CONFIG, `ipam.type: ${JSON.stringify(type)} is no plugin's name`, 'ipam.type')
  const folders = (env.path ?? '').split(':').filter((folder) => isAbsolute(folder))
  if (folders.length === 0)
    throw new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, `CNI_PATH names no folder to find ${type} in`, 'CNI_PATH')
  return folders.map((folder) => join(folder, type))
}

/**
 * What a plugin's end says.
 * @returns its result, for an ADD
 * @throws PluginFailure with the plugin's own error; NetloomError where it had nothing to say that could be read
 */
export function readOutcome(
  { type, command }: Pick<Delegation, 'type' | 'command'>,
  outcome: Outcome,
): CniResult | undefined {
  if (outcome.exit !== 0) throw failureOf(type, command, outcome)
  return command === 'ADD' ? readAddresses(type, outcome) : undefined
}

/** Errors belong on standard output; some sentences of the specification say standard error. */
function failureOf(type: string, command: DelegatedCommand, outcome: Outcome): NetloomError {
  const { exit, signal, stdout, stderr } = outcome
  const foreign = readError(stdout) ?? readError(stderr)
  if (foreign !== undefined) return new PluginFailure(type, foreign)
  const how = signal === null ? `exit code ${exit ?? '?'} and no error that could be read` : `signal ${signal}`
  return brokenPlugin(type, `${command} ended with ${how}`, stderr)
}

/** An error about a plugin that did not do as the specification says; the last that it wrote may tell why. */
export function brokenPlugin(type: string, problem: string, stderr = ''): NetloomError {
  const last = linesOf(stderr).at(-1)
  return new NetloomError('io', `plugin ${type}: ${problem}${last === undefined ? '' : `: ${shorten(last)}`}`)
}

export const linesOf = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

const LINE_CHARACTERS = 400
const shorten = (line: string): string =>
  line.length > LINE_CHARACTERS ? `${line.slice(0, LINE_CHARACTERS)}...` : line

function readError(text: string): ForeignError | undefined {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || !('code' in value) || !('msg' in value)) return undefined
  const { code, msg } = value
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 1 || typeof msg !== 'string') return undefined
  const details = 'details' in value && typeof value.details === 'string' ? value.details : ''
  return { code, msg, ...(details === '' ? {} : { details }) }
}

/** The value of a JSON text; undefined where it is none, which is no value of JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * The result of a plugin for IP addresses, which is a short one: it knows nothing of interfaces. What it says of them
 * all the same is left out, since it could not be about ours.
 */
function readAddresses(type: string, { stdout, stderr }: Outcome): CniResult {
  const value = parseJson(stdout)
  if (value === undefined)
    throw new CniFailure(CNI_CODE.DECODE, brokenPlugin(type, 'ADD answered no JSON', stderr).message)
  const result = readShort(type, new Cursor(value))
  if (result.ips.length === 0) throw brokenPlugin(type, 'ADD gave no address')
  const ips = result.ips.map(({ address, gateway }) => (gateway === undefined ? { address } : { address, gateway }))
  return { ...result, interfaces: [], ips }
}

function readShort(type: string, answer: Cursor): CniResult {
  try {
    return readResult(answer)
  } catch (error) {
    if (!(error instanceof NetloomError)) throw error
    throw new CniFailure(CNI_CODE.DECODE, brokenPlugin(type, `ADD answered ${error.message}`).message)
  }
}
