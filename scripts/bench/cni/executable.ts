import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../../src/base/errors.js'
import { encodeFrame, FRAME_KIND, FrameDecoder } from '../../../src/codec/frame.js'
import { type Surroundings } from '../benchmark.js'
import { type Samples } from '../samples.js'
import { environment, inputFor, netloomPlugin } from './call.js'
import { FLOOR } from './contenders.js'
import { type SingleOptions } from './single.js'
import { type Stage } from './stage.js'

/** The CNI executable by itself, with an agent that only these measurements have. */

/** Long enough that the agent has nothing left to do for the one before. */
const PAUSE_MS = 5

/**
 * Puts the times from the start of the executable to the first byte that its agent gets into `samples`, in milliseconds.
 * The agent is this process, and its event loop is in them.
 */
export async function measureFirstByte(
  stage: Stage,
  { iterations, warmUp }: SingleOptions,
  { samples, signal }: Pick<Surroundings, 'signal'> & { readonly samples: Samples },
): Promise<void> {
  const socket = join(stage.scratch, 'first-byte.sock')
  let arrived = 0
  const server = await answerEach(socket, () => (arrived = performance.now()))
  const contender = { ...stage.netloom, plugins: [netloomPlugin(socket, [])] }
  try {
    for (let i = 0; i < warmUp + iterations; i++) {
      await sleep(PAUSE_MS)
      signal.throwIfAborted()
      const call = stage.call(contender, { command: 'STATUS' })
      const started = performance.now()
      await call.run(stage.children)
      call.finish()
      if (i >= warmUp) samples.add(FLOOR.FIRST_BYTE, arrived - started)
    }
  } finally {
    await closed(server, socket)
  }
}

/**
 * The most memory that the CNI executable has held when its request is out, in bytes (VmHWM of /proc/PID/status). An
 * agent that only this measurement has keeps it waiting for the answer, so that the look at it is no race.
 */
export async function measureExecutableMemory(executable: string, directory: string): Promise<number> {
  const socket = join(directory, 'memory.sock')
  const configuration = join(directory, 'memory.json')
  writeFileSync(configuration, inputFor(netloomPlugin(socket, []), { command: 'STATUS' }))
  const input = openSync(configuration, 'r')
  let pid = 0
  let peak: number | undefined
  const server = await answerEach(socket, () => (peak = highWater(readFileSync(`/proc/${pid}/status`, 'utf8'))))
  try {
    const env = environment({ command: 'STATUS', executable })
    const child = spawn(executable, { env, stdio: [input, 'ignore', 'inherit'] })
    pid = child.pid ?? 0
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('exit', resolve))
    if (code !== 0 || peak === undefined)
      throw new NetloomError('internal', `the CNI executable's memory was not seen, its exit code is ${code ?? 'none'}`)
    return peak
  } finally {
    closeSync(input)
    rmSync(configuration)
    await closed(server, socket)
  }
}

/** Answers every request on a socket with success, after `look`, which is called for each piece that comes in. */
async function answerEach(socket: string, look: () => void): Promise<Server> {
  const server = createServer((connection) => {
    const decoder = new FrameDecoder()
    connection.on('data', (chunk) => {
      look()
      for (const { kind } of decoder.push(chunk)) {
        if (kind !== FRAME_KIND.REQUEST) throw new NetloomError('internal', 'the CNI executable sent no request')
        connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: '' }))
      }
    })
  })
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(socket, resolve))
  return server
}

async function closed(server: Server, socket: string): Promise<void> {
  await new Promise((resolve) => server.close(resolve))
  rmSync(socket, { force: true })
}

const KIB = 1024

/** @param status text of /proc/PID/status @returns bytes; undefined where it does not tell */
export function highWater(status: string): number | undefined {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(status)
  return match?.[1] === undefined ? undefined : Number(match[1]) * KIB
}
