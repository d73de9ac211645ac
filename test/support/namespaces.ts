import { spawnSync } from 'node:child_process'
import { Applier } from '../../src/kernel/apply.js'
import { openSocket, PROTOCOL } from '../../src/kernel/socket.js'
import { Talk } from '../../src/kernel/talk.js'

/** Tests of test/kernel run in network and mount namespaces of their own (scripts/namespaced.mjs), a file each. */

export interface Connection {
  readonly route: Talk
  readonly netfilter: Talk
  readonly applier: Applier
  /** Numbers of the generations that the applier made. */
  readonly generations: number[]
  close(): void
}

/** A connection to the kernel of the namespace that the thread is in. */
export function connect(options: { namespace?: number } = {}): Connection {
  const route = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
  const netfilter = new Talk(openSocket({ protocol: PROTOCOL.NETFILTER, bufferBytes: 16 << 20 }))
  const generations: number[] = []
  return {
    route,
    netfilter,
    generations,
    applier: new Applier({ ...options, route, netfilter, onGeneration: (number) => generations.push(number) }),
    close: () => {
      route.close()
      netfilter.close()
    },
  }
}

interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program with arguments, never a shell; `input` is its standard input. */
export function run(program: string, args: readonly string[], input?: string): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', input: input ?? '' })
  if (error !== undefined) throw error
  return { status, stdout, stderr }
}

/** Runs nft and answers what it printed; throws with its words where it refuses. */
export function nft(args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = run('nft', args, input)
  if (status !== 0) throw new Error(`nft ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** Why tests that need this program are set aside; false where it is installed. */
export function skipWithout(program: string, ...probe: readonly string[]): string | false {
  const { error } = spawnSync(program, probe, { encoding: 'utf8' })
  return error === undefined ? false : `${program} is not installed`
}

/** Waits until a condition holds, looking again every few milliseconds; false when it does not within the time. */
export async function eventually(condition: () => boolean, withinMs = 2000): Promise<boolean> {
  const end = Date.now() + withinMs
  while (!condition()) {
    if (Date.now() > end) return false
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return true
}
