import { readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { spawn } from 'node:child_process'
import { openSync, closeSync, writeFileSync } from 'node:fs'
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
  let peak: number | undefined
  let pid: number | undefined
  const server = createServer((connection) => {
    const decoder = new FrameDecoder()
    connection.on('data', (chunk) => {
      for (const _frame of decoder.push(chunk)) {
        if (pid !== undefined) peak = highWater(readFileSync(`/proc/${pid}/status`, 'utf8'))
        connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: '' }))
      }
    })
  })
  try {
    await new Promise<void>((resolve, reject) => server.on('error', reject).listen(socket, resolve))
    const pod = { name: 'memory', netns: '/proc/self/ns/net' }
    const child = spawn(executable, { env: environment({ command: 'ADD', executable, pod }), stdio: [input, 1, 2] })
    pid = child.pid
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('exit', resolve))
    if (code !== 0 || peak === undefined)
      throw new NetloomError('internal', `the CNI executable's memory could not be read: exit code ${code ?? 'none'}`)
    return peak
  } finally {
    closeSync(input)
    await new Promise((resolve) => server.close(resolve))
    for (const file of [socket, configuration]) rmSync(file, { force: true })
  }
}

const KIB = 1024

/** @param status text of /proc/PID/status @returns bytes; undefined where it does not tell */
export function highWater(status: string): number | undefined {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(status)
  return match?.[1] === undefined ? undefined : Number(match[1]) * KIB
}
