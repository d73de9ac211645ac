/**
 * Makes the captures of this folder anew: `node test/bytes/ct/capture.mjs`, as any user who may make user namespaces,
 * with conntrack and strace installed. See README.md.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const V4 = '-s 192.0.2.9 -d 192.0.2.1'
const V6 = '-s fd00:2::9 -d fd00:2::1'

/** Steps without a name prepare the namespace. */
const STEPS = [
  { run: `-I -p udp ${V4} --sport 4000 --dport 53 --timeout 100` },
  { run: `-I -p udp ${V4} --sport 4001 --dport 53 --timeout 100 --dst-nat 10.1.0.5:5353` },
  { run: `-I -p tcp ${V4} --sport 4002 --dport 80 --timeout 100 --state ESTABLISHED` },
  { run: `-I -p icmp ${V4} --icmp-type 8 --icmp-code 0 --icmp-id 7 --timeout 100` },
  { run: `-I -p udp ${V4} --sport 4003 --dport 53 --timeout 100 --zone 7` },
  { run: `-I -p udp ${V6} --sport 4000 --dport 53 --timeout 100 --dst-nat [fd00:1::5]:5353` },
  {
    run:
      `-I -p sctp ${V6} --sport 4004 --dport 3868 --timeout 100 --state ESTABLISHED ` + '--orig-vtag 1 --reply-vtag 2',
  },
  { name: 'list all', run: '-L' },
  { name: 'list IPv4', run: '-L -f ipv4' },
  { name: 'list IPv6', run: '-L -f ipv6' },
  { name: 'delete a translated flow', run: `-D -f ipv4 -p udp ${V4} --sport 4001` },
  { name: 'delete a flow in a zone', run: '-D -f ipv4 -p udp --zone 7' },
  { name: 'delete an IPv6 flow', run: `-D -f ipv6 -p udp ${V6}` },
]

const STRACE = ['-qq', '-f', '-e', 'trace=sendmsg,sendto,recvmsg', '-e', 'write=all', '-e', 'read=all', '-s', '0', '-o']

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
  return calls.filter(({ hex }) => hex !== '')
}

function capture(command, file) {
  const { status, stderr } = spawnSync('strace', [...STRACE, file, 'conntrack', ...command], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`conntrack ${command.join(' ')}: ${stderr}`)
  const calls = parseTrace(readFileSync(file, 'utf8'))
  return {
    command: `conntrack ${command.join(' ')}`,
    requests: calls.filter(({ send }) => send).map(({ hex }) => hex),
    replies: calls.filter(({ send }) => !send).map(({ hex }) => hex),
  }
}

function inside() {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-capture-'))
  const cases = {}
  try {
    for (const { name, run } of STEPS) {
      const command = run.split(' ')
      if (name === undefined) execFileSync('conntrack', command, { stdio: 'ignore' })
      else cases[name] = capture(command, join(folder, 'trace'))
    }
    const conntrack = execFileSync('conntrack', ['--version'], { encoding: 'utf8' }).trim()
    process.stdout.write(JSON.stringify({ conntrack, kernel: release(), cases }, undefined, 1))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (process.argv[2] === undefined) {
  const argv = ['--user', '--map-root-user', '--net', process.execPath, fileURLToPath(import.meta.url), 'inside']
  const text = execFileSync('unshare', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  writeFileSync(new URL('flow.json', import.meta.url), `${text}\n`)
  process.stdout.write(`flow.json: ${Object.keys(JSON.parse(text).cases).length} captures\n`)
} else inside()
