import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { type Server, type Socket, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository, wherever below it this file was compiled to. */
export const ROOT = ((): string => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
})()

/** One build of the CNI executable; `skip` says why it is not there. */
export interface Build {
  readonly name: string
  readonly path: string
  readonly skip: string | false
}

/**
 * The release build, and the one under the address and undefined-behaviour sanitizers where the compiler has them.
 * @throws Error when the executable cannot be built.
 */
export function builds(): readonly Build[] {
  const script = join(ROOT, 'scripts', 'build-native.mjs')
  const run = (...args: string[]): string | false => {
    const { status, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })
    if (status === 3) return stderr.trim()
    if (status !== 0) throw new Error(`build-native.mjs ${args.join(' ')}: ${stderr}`)
    return false
  }
  return [
    { name: 'release build', path: join(ROOT, 'dist/native/netloom'), skip: run() },
    { name: 'sanitized build', path: join(ROOT, 'dist/native/netloom-sanitized'), skip: run('--sanitize') },
  ]
}

export interface Run {
  readonly path: string
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** What is written to standard input before its end. */
  readonly stdin?: string | Uint8Array
  /** A file descriptor as standard input, instead. */
  readonly stdinFd?: number
  readonly args?: readonly string[]
  /** Called as soon as it runs. */
  readonly started?: (pid: number) => void
}

export interface Outcome {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the executable to its end. A sanitizer's finding rejects, whatever the exit code is. */
export async function runCni(run: Run): Promise<Outcome> {
  const child = spawn(run.path, run.args ?? [], {
    env: { ...run.env, ASAN_OPTIONS: 'exitcode=86', UBSAN_OPTIONS: 'print_stacktrace=1' },
    stdio: [run.stdinFd ?? 'pipe', 'pipe', 'pipe'],
  })
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  for (const name of ['stdout', 'stderr'] as const) child[name]?.on('data', (chunk: Buffer) => output[name].push(chunk))
  // It may end before it has read everything, and is right to where the input is too long.
  child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') child.emit('error', error)
  })
  child.stdin?.end(run.stdin ?? '')
  if (child.pid !== undefined) run.started?.(child.pid)
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, name) => resolve([status, name]))
  })
  const stdout = Buffer.concat(output.stdout).toString()
  const stderr = Buffer.concat(output.stderr).toString()
  if (/Sanitizer|runtime error/.test(stderr)) throw new Error(`${run.path}: ${stderr}`)
  return { code, signal, stdout, stderr }
}

/** Answers one request; gets the whole frame as it came. */
export type Answer = (connection: Socket, frame: Buffer) => void

/** Something that listens on a unix socket in a folder of its own and takes frames; what it answers is set per test. */
export class FakeAgent {
  readonly folder = mkdtempSync(join(tmpdir(), 'netloom-cni-'))
  readonly socket = join(this.folder, 'agent.sock')
  readonly requests: Buffer[] = []
  answer: Answer = (connection) => connection.destroy()
  #server: Server | undefined
  readonly #connections = new Set<Socket>()

  async listen(): Promise<this> {
    this.#server = createServer((connection) => this.#accept(connection))
    await new Promise<void>((resolve) => this.#server?.listen(this.socket, resolve))
    return this
  }

  #accept(connection: Socket): void {
    let received = Buffer.alloc(0)
    this.#connections.add(connection)
    connection.on('close', () => this.#connections.delete(connection))
    connection.on('error', () => connection.destroy()) // the executable may end before it has read an answer
    connection.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 8 || received.length < 8 + received.readUInt32BE(4)) return
      this.requests.push(received)
      this.answer(connection, received)
      received = Buffer.alloc(0)
    })
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    await new Promise((resolve) => (this.#server === undefined ? resolve(undefined) : this.#server.close(resolve)))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Numbers of [0, 1) that depend on nothing but the seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** An error as the CNI specification has it; throws where the text is none. */
export function cniError(stdout: string): { cniVersion: string; code: number; msg: string; details: string } {
  const error = JSON.parse(stdout) as Record<string, unknown>
  const { cniVersion, code, msg, details } = error
  if (typeof cniVersion !== 'string' || typeof code !== 'number' || typeof msg !== 'string' || msg === '')
    throw new Error(`not an error of CNI: ${stdout}`)
  if (typeof details !== 'string' || details === '' || Object.keys(error).length !== 4 || !stdout.endsWith('}\n'))
    throw new Error(`not an error of CNI: ${stdout}`)
  return { cniVersion, code, msg, details }
}
