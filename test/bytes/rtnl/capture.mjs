/**
 * Makes the captures of this folder anew: `node test/bytes/rtnl/capture.mjs`, as any user who may make user
 * namespaces, with iproute2 and strace installed. See README.md.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { STEPS } from './steps.mjs'

const STRACE = ['-qq', '-f', '-e', 'trace=sendmsg,sendto,recvmsg', '-e', 'write=all', '-e', 'read=all', '-s', '0', '-o']

/** What strace saw as { send, fd, bytes }, in order: a line per call, then a hex dump of what it moved. */
function parseTrace(text) {
  const calls = []
  for (const line of text.split('\n')) {
    const dump = /^ \| [0-9a-f]{5}((?: {1,2}[0-9a-f]{2}){1,16})/.exec(line)
    const last = calls.at(-1)
    if (dump !== null && last !== undefined) last.hex += dump[1].replaceAll(' ', '')
    const call = /(sendmsg|sendto|recvmsg)\((\d+)/.exec(line)
    if (call !== null) calls.push({ send: call[1] !== 'recvmsg', fd: call[2], hex: '' })
  }
  return calls.filter(({ hex }) => hex !== '').map(({ hex, ...call }) => ({ ...call, bytes: Buffer.from(hex, 'hex') }))
}

const DUMP = 0x300
const isGet = (type) => (type & 3) === 2

/** The request of the wanted type that does the work: iproute2 also gets links by name before it and after it. */
function choose(trace, type) {
  const wanted = trace.filter(({ send, bytes }) => send && bytes.readUInt16LE(4) === type)
  if (!isGet(type)) return wanted.at(-1)
  return wanted.find(({ bytes }) => (bytes.readUInt16LE(6) & DUMP) === DUMP) ?? wanted[0]
}

/** One request, and what came back on its socket until the next. */
function exchange(trace, type) {
  const request = choose(trace, type)
  if (request === undefined) throw new Error(`no request of type ${type} in the trace`)
  const rest = trace.slice(trace.indexOf(request) + 1).filter(({ fd }) => fd === request.fd)
  const end = rest.findIndex(({ send }) => send)
  const replies = rest.slice(0, end === -1 ? undefined : end)
  const sent = request.bytes.subarray(0, request.bytes.readUInt32LE(0)) // iproute2 sends its whole buffer, used or not
  return { request: sent.toString('hex'), replies: replies.map(({ bytes }) => bytes.toString('hex')) }
}

/** A command that the kernel refuses is a capture like any other; who runs this sees which they were. */
function trace(argv, file) {
  const { status, stderr } = spawnSync('strace', [...STRACE, file, ...argv], { encoding: 'utf8' })
  if (status !== 0) process.stderr.write(`${argv.join(' ')}: ${stderr.replaceAll('\n', ' ')}\n`)
  return parseTrace(readFileSync(file, 'utf8'))
}

/** `ip monitor` begins with a list of all links; those messages carry NLM_F_MULTI. */
const isDump = (bytes) => (bytes.readUInt16LE(6) & 2) !== 0

async function listen({ monitor, argv }, file) {
  const listener = spawn('strace', [...STRACE, file, 'ip', 'monitor', monitor], { stdio: 'ignore', detached: true })
  await sleep(500)
  execFileSync(argv[0], argv.slice(1))
  await sleep(500)
  process.kill(-listener.pid, 'SIGINT') // to the group: strace itself blocks it
  await once(listener, 'exit')
  const notices = parseTrace(readFileSync(file, 'utf8')).filter(({ send, bytes }) => !send && !isDump(bytes))
  return { heard: notices.map(({ bytes }) => bytes.toString('hex')) }
}

async function capture(steps, file) {
  const cases = {}
  for (const step of steps) {
    const [program, ...rest] = step.argv
    if (step.name === undefined) execFileSync(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
    else {
      const bytes = step.monitor === undefined ? exchange(trace(step.argv, file), step.type) : await listen(step, file)
      cases[step.name] = { command: step.argv.join(' '), ...bytes }
    }
  }
  return cases
}

/** Inside the namespace: one noun's steps, the result on standard output. */
async function inside(noun) {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-capture-'))
  try {
    const iproute2 = execFileSync('ip', ['-V'], { encoding: 'utf8' }).trim()
    const cases = await capture(STEPS[noun], join(folder, 'trace'))
    process.stdout.write(JSON.stringify({ iproute2, kernel: release(), cases }, undefined, 1))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function all() {
  const self = fileURLToPath(import.meta.url)
  for (const noun of Object.keys(STEPS)) {
    const argv = ['--user', '--map-root-user', '--net', '--mount', process.execPath, self, noun]
    const text = execFileSync('unshare', argv, {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    writeFileSync(new URL(`${noun}.json`, import.meta.url), `${text}\n`)
    process.stdout.write(`${noun}.json: ${Object.keys(JSON.parse(text).cases).length} captures\n`)
  }
}

if (process.argv[2] === undefined) all()
else await inside(process.argv[2])
