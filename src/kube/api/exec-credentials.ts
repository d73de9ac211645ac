import { spawn } from 'node:child_process'
import { asNetloomError, invalid, NetloomError } from '../../base/errors.js'
import { Cursor } from '../../model/cursor.js'
import { type Credentials, type Proof } from './access.js'
import { type ExecPlugin } from './exec-plugin.js'

export interface ExecCredentialsOptions {
  /** Milliseconds that a plugin may take. */
  readonly timeoutMs?: number
  /** Milliseconds of the Unix epoch. */
  readonly now?: () => number
}

/** Milliseconds before its end from which on a proof is not used any more: the call takes a while. */
const MARGIN_MS = 10_000

/** Most that a plugin may print, in bytes. */
const MOST_BYTES = 1024 * 1024

interface Issued {
  readonly proof: Proof
  /** Milliseconds of the Unix epoch; Infinity where the plugin does not say. */
  readonly until: number
}

/** Proofs that a plugin issues; each is used until it ends or the server refuses it. Calls that wait share a run. */
export class ExecCredentials implements Credentials {
  readonly #plugin: ExecPlugin
  readonly #timeoutMs: number
  readonly #now: () => number
  #issued: Issued | undefined
  #running: Promise<Issued> | undefined

  constructor(plugin: ExecPlugin, { timeoutMs = 60_000, now = Date.now }: ExecCredentialsOptions = {}) {
    this.#plugin = plugin
    this.#timeoutMs = timeoutMs
    this.#now = now
  }

  async proof(): Promise<Proof> {
    if (this.#issued !== undefined && this.#now() < this.#issued.until - MARGIN_MS) return this.#issued.proof
    this.#running ??= this.#issue().finally(() => (this.#running = undefined))
    this.#issued = await this.#running
    return this.#issued.proof
  }

  expire(): void {
    this.#issued = undefined
  }

  async #issue(): Promise<Issued> {
    const text = await run(this.#plugin, this.#timeoutMs)
    return readIssued(text, this.#plugin)
  }
}

/**
 * Runs the plugin, without a shell, and answers what it prints. What it says on standard error goes to ours as it
 * comes: it is for people, and no part of an error, for nobody knows what it holds.
 */
function run(plugin: ExecPlugin, timeoutMs: number): Promise<string> {
  const { command, args, env, apiVersion, cluster } = plugin
  const spec = { interactive: false, ...(cluster === undefined ? {} : { cluster }) }
  const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec })
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: info },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    // Node's own `timeout` stays behind where the program could not be started.
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const pieces: Buffer[] = []
    let bytes = 0
    child.stdout.on('data', (piece: Buffer) => {
      bytes += piece.length
      if (bytes > MOST_BYTES) child.kill('SIGKILL')
      else pieces.push(piece)
    })
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(unstarted(plugin, error))
    })
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) resolve(Buffer.concat(pieces).toString('utf8'))
      else reject(refused(plugin, bytes > MOST_BYTES ? 'prints too much' : `ended with ${code ?? signal ?? 'nothing'}`))
    })
  })
}

const refused = ({ field, command }: ExecPlugin, problem: string): NetloomError =>
  new NetloomError('denied', `${field}: ${command} ${problem}`, { field, operation: 'run the credential plugin' })

function unstarted({ field, command, installHint }: ExecPlugin, error: Error): NetloomError {
  const hint = installHint === '' ? '' : ` (${installHint.trim()})`
  return invalid(field, `${command} cannot be run: ${asNetloomError(error).message}${hint}`, error)
}

/** @throws NetloomError `denied`; never with a part of what the plugin printed */
function readIssued(text: string, plugin: ExecPlugin): Issued {
  const root = new Cursor(parse(text, plugin))
  if (root.field('kind').value !== 'ExecCredential' || root.field('apiVersion').value !== plugin.apiVersion)
    throw refused(plugin, `does not answer an ExecCredential of ${plugin.apiVersion}`)
  const status = root.field('status')
  if (typeof status.value !== 'object') throw refused(plugin, 'answers no status')
  const read = (name: string): string | undefined => {
    const { value } = status.field(name)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const [token, cert, key] = [read('token'), read('clientCertificateData'), read('clientKeyData')]
  if ((cert === undefined) !== (key === undefined)) throw refused(plugin, 'answers half of a certificate and key')
  const certificate = cert === undefined || key === undefined ? undefined : { cert, key }
  if (token === undefined && certificate === undefined) throw refused(plugin, 'answers neither token nor certificate')
  return { proof: { token, certificate }, until: readUntil(read('expirationTimestamp'), plugin) }
}

function parse(text: string, plugin: ExecPlugin): unknown {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // The parser's error quotes its input, which is a secret.
  }
  throw refused(plugin, 'does not answer a JSON object')
}

function readUntil(text: string | undefined, plugin: ExecPlugin): number {
  if (text === undefined) return Infinity
  const until = Date.parse(text)
  if (Number.isNaN(until)) throw refused(plugin, 'answers an expirationTimestamp that is no time')
  return until
}
