import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { NetloomError } from '../../../src/base/errors.js'
import { encodeFrame, FRAME_KIND, FrameDecoder } from '../../../src/codec/frame.js'
import { environment, netloomConfiguration } from './call.js'

/**
 * The most memory that the CNI executable has held when its request is out, in bytes (VmHWM of /proc/PID/status). An
 * agent that only this measurement has keeps it waiting for the answer, so that the look at it is no race.
 */
export async function measureExecutableMemory(executable: string, directory: string): Promise<number> {
  const socket = join(directory, 'memory.sock')
  const configuration = join(directory, 'memory.json')
  writeFileSync(configuration, JSON.stringify(netloomConfiguration(socket)))
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
    await new Promise((resolve) => server.close(resolve))
    for (const file of [socket, configuration]) rmSync(file, { force: true })
  }
}

/** Answers every request on a socket with success, after `look`. */
async function answerEach(socket: string, look: () => void): Promise<Server> {
  const server = createServer((connection) => {
    const decoder = new FrameDecoder()
    connection.on('data', (chunk) => {
      for (const { kind } of decoder.push(chunk)) {
        if (kind !== FRAME_KIND.REQUEST) throw new NetloomError('internal', 'the CNI executable sent no request')
        look()
        connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: '' }))
      }
    })
  })
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(socket, resolve))
  return server
}

const KIB = 1024

/** @param status text of /proc/PID/status @returns bytes; undefined where it does not tell */
export function highWater(status: string): number | undefined {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(status)
  return match?.[1] === undefined ? undefined : Number(match[1]) * KIB
}
