/**
 * Makes the captures of this folder anew: `node test/bytes/nft/capture.mjs`, as any user who may make user
 * namespaces, with nft and strace installed. See README.md.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { STEPS } from './steps.mjs'

const STRACE = ['-qq', '-f', '-e', 'trace=sendmsg,sendto,recvmsg', '-e', 'write=all', '-e', 'read=all', '-s', '0', '-o']
const BATCH_BEGIN = 0x10
const BATCH_END = 0x11
const NFTABLES = 10 << 8
const NLMSG_DONE = 3

/** What strace saw as { send, bytes }, in order: a line per call, then a hex dump of what it moved. */
function parseTrace(text) {
  const calls = []
  for (const line of text.split('\n')) {
    const dump = /^ \| [0-9a-f]{5}((?: {1,2}[0-9a-f]{2}){1,16})/.exec(line)
    const last = calls.at(-1)
    if (dump !== null && last !== undefined) last.hex += dump[1].replaceAll(' ', '')
    const call = /(sendmsg|sendto|recvmsg)\(\d+/.exec(line)
    if (call !== null) calls.push({ send: call[1] !== 'recvmsg', hex: '' })
  }
  return calls.filter(({ hex }) => hex !== '').map(({ send, hex }) => ({ send, bytes: Buffer.from(hex, 'hex') }))
}

/** The messages of a datagram. */
function split(bytes) {
  const messages = []
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) {
    const message = bytes.subarray(at, at + bytes.readUInt32LE(at))
    messages.push({ type: message.readUInt16LE(4), hex: message.toString('hex') })
  }
  return messages
}

function trace(args, file) {
  const { status, stderr } = spawnSync('strace', [...STRACE, file, 'nft', ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`nft ${args.join(' ')}: ${stderr}`)
  return parseTrace(readFileSync(file, 'utf8'))
}

/** What stands between the beginning and the end of the one transaction. */
function transaction(text, { script, file }) {
  writeFileSync(script, text)
  const sent = trace(['-f', script], file).filter(({ send }) => send)
  const batch = sent.map(({ bytes }) => split(bytes)).find(([first]) => first.type === BATCH_BEGIN)
  if (batch?.at(-1).type !== BATCH_END) throw new Error(`no transaction in the trace of: ${text}`)
  return { text, messages: batch.slice(1, -1).map(({ hex }) => hex) }
}

/** What the kernel answers to all requests of one type while nft lists the ruleset. */
function listing(type, { file }) {
  const replies = []
  let wanted = false
  for (const { send, bytes } of trace(['list', 'ruleset'], file)) {
    const messages = split(bytes)
    if (send) wanted = messages.some((message) => message.type === (NFTABLES | type))
    else if (wanted) replies.push(...messages.filter((message) => message.type !== NLMSG_DONE))
  }
  return { text: 'list ruleset', messages: replies.map(({ hex }) => hex) }
}

/** Inside the namespace: one noun's steps, the result on standard output. */
function inside(noun) {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-capture-'))
  const paths = { script: join(folder, 'script'), file: join(folder, 'trace') }
  const cases = {}
  try {
    for (const step of STEPS[noun]) {
      if (step.listing !== undefined) cases[step.name] = listing(step.listing, paths)
      else if (step.name !== undefined) cases[step.name] = transaction(step.text, paths)
      else execFileSync('nft', ['-f', '-'], { input: step.text, stdio: ['pipe', 'ignore', 'inherit'] })
    }
    const nft = execFileSync('nft', ['--version'], { encoding: 'utf8' }).trim()
    process.stdout.write(JSON.stringify({ nft, kernel: release(), cases }, undefined, 1))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function all() {
  const self = fileURLToPath(import.meta.url)
  for (const noun of Object.keys(STEPS)) {
    const text = execFileSync('unshare', ['--user', '--map-root-user', '--net', process.execPath, self, noun], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    writeFileSync(new URL(`${noun}.json`, import.meta.url), `${text}\n`)
    process.stdout.write(`${noun}.json: ${Object.keys(JSON.parse(text).cases).length} captures\n`)
  }
}

if (process.argv[2] === undefined) all()
else inside(process.argv[2])
