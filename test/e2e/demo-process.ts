import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MAIN } from '../../src/cli/demo/installation.js'

/** A demo as a process of its own, with all that it starts marked, so that nothing of it can hide. */

/** The demos' folder for temporary files: whatever they leave there is theirs. */
const TEMPORARY = mkdtempSync(join(tmpdir(), 'demo-test-'))
chmodSync(TEMPORARY, 0o777) // for users without rights as well
process.on('exit', () => rmSync(TEMPORARY, { recursive: true, force: true }))

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface DemoProcess {
  readonly child: ChildProcess
  readonly done: Promise<Finished>
  /** Resolves when standard error has matched; rejects when the demo ends before. */
  readonly said: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Its processes that are alive: those that inherited its mark. */
  readonly processes: () => { pid: number; command: string }[]
  /** Waits until none is left. @returns those that are left all the same */
  readonly gone: () => Promise<string[]>
}

const GONE_MS = 8000

/** @param before a command that runs it: `setpriv ... --` */
export function demo(
  args: readonly string[],
  before: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): DemoProcess {
  const [variable, value] = ['DEMO_UNDER_TEST', randomUUID()]
  const mark = `${variable}=${value}`
  const [command = '', ...rest] = [...before, process.execPath, MAIN, 'demo', ...args]
  const environment = { ...process.env, [variable]: value, NO_COLOR: '1', TMPDIR: TEMPORARY, ...env }
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: environment, detached: true })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const done = new Promise<Finished>((settle, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) => settle({ code, signal, ...output }))
  })
  const said = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(output.stderr)
      if (match !== null) return match
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended: ${output.stderr}`)
      await sleep(10)
    }
  }
  const processes = (): { pid: number; command: string }[] => marked(mark)
  const gone = async (): Promise<string[]> => {
    const deadline = Date.now() + GONE_MS
    while (processes().length > 0 && Date.now() < deadline) await sleep(20)
    return processes().map(({ command }) => command)
  }
  return { child, done, said, processes, gone }
}

const marked = (mark: string): { pid: number; command: string }[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)) return []
        return [{ pid: Number(pid), command: readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ') }]
      } catch {
        return [] // it ended while we looked, or is somebody else's
      }
    })

/** What a demo could leave behind in the namespaces that it was started in, and on disk. */
export const leftovers = (): Record<string, readonly string[]> => ({
  mounts: readFileSync('/proc/self/mountinfo', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').slice(4).join(' ')),
  links: readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .slice(2)
    .map((line) => line.split(':')[0]!.trim()),
  routes: readFileSync('/proc/self/net/route', 'utf8').split('\n'),
  run: names('/run').filter((name) => /netns|netloom/.test(name)),
  files: names(TEMPORARY),
})

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
