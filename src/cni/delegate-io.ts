import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { asNetloomError } from '../base/errors.js'
import {
  brokenPlugin,
  candidates,
  delegatedEnvironment,
  type Delegation,
  KEPT_STDERR_BYTES,
  linesOf,
  MAX_ANSWER_BYTES,
  type Outcome,
  readOutcome,
} from './delegate.js'
import { CNI_CODE, CniFailure } from './error.js'
import { type CniResult } from './result.js'
import { requireVerb } from './version.js'

/** Where programs are if the agent was started without a PATH. */
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * How long the pipes of a plugin that has ended are still read. They close with it, unless it left somebody behind who
 * holds them.
 */
const DRAIN_MS = 500

/**
 * Has another plugin carry out a command. It runs where the agent does, in the node's namespaces, which is where the
 * specification wants it.
 *
 * An ADD that failed is undone with a DEL before its error is thrown: the plugin may have got halfway.
 * @returns the addresses, for an ADD
 * @throws PluginFailure with the plugin's own error; NetloomError where it cannot be run or does not behave
 */
export async function delegate(call: Delegation): Promise<CniResult | undefined> {
  requireVerb(call.command, call.cniVersion)
  const path = await find(call)
  try {
    return await execute(path, call)
  } catch (error) {
    if (call.command === 'ADD') await undo(path, call, error)
    throw error
  }
}

/** What the DEL says is for the log alone: the runtime is to hear why the ADD failed, and will call DEL itself. */
async function undo(path: string, call: Delegation, because: unknown): Promise<void> {
  try {
    await execute(path, { ...call, command: 'DEL' })
  } catch (error) {
    call.log?.(`${asNetloomError(error).message}, to undo ${asNetloomError(because).message}`)
  }
}

async function find(call: Delegation): Promise<string> {
  const paths = candidates(call)
  for (const path of paths) if (await isExecutable(path)) return path
  const message = `ipam.type: there is no plugin ${call.type} in CNI_PATH ${call.env.path ?? ''}`
  throw new CniFailure(CNI_CODE.INVALID_CONFIG, message, 'ipam.type')
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

async function execute(path: string, call: Delegation): Promise<CniResult | undefined> {
  return readOutcome(call, await run(path, call))
}

/** Runs a plugin to its end, or to the end of our patience. */
async function run(path: string, call: Delegation): Promise<Outcome> {
  const child = start(path, call)
  const answer: Buffer[] = []
  let answered = 0
  let said = Buffer.alloc(0)
  return new Promise((resolve, reject) => {
    const giveUp = (problem: string): void => {
      clearTimeout(patience)
      abandon(child)
      reject(brokenPlugin(call.type, `${call.command} ${problem}`, said.toString()))
    }
    const patience = setTimeout(() => giveUp(`was not done after ${call.timeoutMs} ms`), call.timeoutMs)
    child.stdout?.on('data', (chunk: Buffer) => {
      answer.push(chunk)
      answered += chunk.length
      if (answered > MAX_ANSWER_BYTES) giveUp(`answered more than ${MAX_ANSWER_BYTES} bytes`)
    })
    child.stderr?.on('data', (chunk: Buffer) => (said = Buffer.concat([said, chunk]).subarray(-KEPT_STDERR_BYTES)))
    child.on('error', (error) => giveUp(`could not be run: ${error.message}`))
    child.on('exit', () => {
      clearTimeout(patience)
      setTimeout(() => closePipes(child), DRAIN_MS).unref()
    })
    child.on('close', (exit, signal) => {
      clearTimeout(patience)
      const stderr = said.toString()
      for (const line of linesOf(stderr)) call.log?.(line)
      resolve({ exit, signal, stdout: Buffer.concat(answer).toString(), stderr })
    })
  })
}

/** Where no descriptors are left there are no pipes, but the event that says so. */
function start(path: string, call: Delegation): ChildProcess {
  const child: ChildProcess = spawn(path, [], {
    cwd: '/',
    env: delegatedEnvironment(call, process.env['PATH'] ?? SEARCH_PATH),
    // A process group of its own, so that whatever it starts can be ended along with it.
    detached: true,
  })
  // It may end without having read its configuration, and need not.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(call.config)
  return child
}

/** Ends a plugin and what it started, and reads no more of them. */
function abandon(child: ChildProcess): void {
  closePipes(child)
  // Once it has been waited for, its number may be another's.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It runs as somebody whom we may not end. It has no pipes any more, and nobody waits for it.
  }
}

function closePipes({ stdin, stdout, stderr }: ChildProcess): void {
  stdin?.destroy()
  stdout?.destroy()
  stderr?.destroy()
}
