import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { parseIpPrefix } from '../../../src/base/ip.js'
import { delegate } from '../../../src/cni/delegate-io.js'
import { type Delegation } from '../../../src/cni/delegate.js'
import { cniError } from '../../../src/cni/error.js'

const folder = mkdtempSync(join(tmpdir(), 'netloom-delegate-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Where a fake plugin leaves what it was called with: a line for each call. */
const left = (name: string): string => join(folder, `${name}.left`)
const leftBy = (name: string): string => (existsSync(left(name)) ? readFileSync(left(name), 'utf8') : '')

/** A plugin that is a shell script; `$left` is its file for notes. */
function plugin(name: string, script: string): string {
  writeFileSync(join(folder, name), `#!/bin/sh\nleft='${left(name)}'\n${script}\n`)
  chmodSync(join(folder, name), 0o755)
  return name
}

const ENV = { containerId: 'c1', netns: '/run/netns/a', ifname: 'eth0', args: 'A=1', path: folder }
const CONFIG = Buffer.from('{ "cniVersion": "1.1.0",\n  "name": "pods", "unknown": "ö" }')

const call = (type: string, fields: Partial<Delegation> = {}): Delegation => ({
  type,
  command: 'ADD',
  cniVersion: '1.1.0',
  env: ENV,
  config: CONFIG,
  timeoutMs: 30_000,
  ...fields,
})

/** What the runtime would be told. */
const refusal = async (delegation: Delegation) =>
  delegate(delegation).then(
    () => t.fail('nothing was thrown'),
    (error: unknown) => cniError(error, '1.1.0'),
  )

const GIVE = `echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.5/24","gateway":"10.1.0.1"}]}'`

t.test('a plugin gets the configuration byte by byte and the variables, and gives addresses', async (t) => {
  const type = plugin('gives', `cat > "$left.config"; env > "$left.env"; pwd > "$left.cwd"; ${GIVE}`)
  t.strictSame(await delegate(call(type)), {
    interfaces: [],
    ips: [{ address: parseIpPrefix('10.1.0.5/24'), gateway: '10.1.0.1' }],
    routes: [],
    dns: {},
  })
  t.same(readFileSync(`${left(type)}.config`), CONFIG)
  t.equal(readFileSync(`${left(type)}.cwd`, 'utf8'), '/\n')
  // The shell sets some of its own.
  const ofShell = /^(PWD|OLDPWD|SHLVL|_)=/
  const env = readFileSync(`${left(type)}.env`, 'utf8')
    .trim()
    .split('\n')
  t.same(
    env.filter((line) => !ofShell.test(line)).sort(),
    [
      `CNI_ARGS=A=1`,
      'CNI_COMMAND=ADD',
      'CNI_CONTAINERID=c1',
      'CNI_IFNAME=eth0',
      'CNI_NETNS=/run/netns/a',
      `CNI_PATH=${folder}`,
      `PATH=${process.env['PATH']}`,
    ].sort(),
  )
})

t.test('every verb is carried out, and only ADD gives something', async (t) => {
  const type = plugin('notes', `echo "$CNI_COMMAND" >> "$left"; ${GIVE}`)
  for (const command of ['DEL', 'CHECK', 'GC', 'STATUS'] as const)
    t.equal(await delegate(call(type, { command })), undefined, command)
  t.equal(leftBy(type), 'DEL\nCHECK\nGC\nSTATUS\n')
})

t.test('a verb that is newer than the configuration does not reach the plugin', async (t) => {
  const type = plugin('old', `echo "$CNI_COMMAND" >> "$left"`)
  await t.rejects(delegate(call(type, { command: 'GC', cniVersion: '1.0.0' })), { code: 'invalid', cniCode: 1 })
  await t.rejects(delegate(call(type, { command: 'CHECK', cniVersion: '0.3.1' })), { code: 'invalid', cniCode: 1 })
  t.equal(leftBy(type), '')
})

t.test('the first executable file in CNI_PATH is the plugin', async (t) => {
  const type = plugin('here', GIVE)
  const first = mkdtempSync(join(tmpdir(), 'netloom-delegate-'))
  t.teardown(() => rmSync(first, { recursive: true, force: true }))
  writeFileSync(join(first, type), 'not executable', { mode: 0o644 })
  mkdirSync(join(first, 'folder', type), { recursive: true })
  const path = `/nowhere/at/all:${first}:${join(first, 'folder')}:${folder}`
  t.ok(await delegate(call(type, { env: { ...ENV, path } })))
  t.match(await refusal(call('missing', { env: { ...ENV, path } })), {
    code: 7,
    details: `ipam.type: there is no plugin missing in CNI_PATH ${path}`,
  })
})

t.test('a file that cannot be run is told of', async (t) => {
  writeFileSync(join(folder, 'no-program'), '#!/nowhere/to/be/found\n', { mode: 0o755 })
  t.match(await refusal(call('no-program')), { code: 5, details: /^plugin no-program: ADD could not be run: .*spawn/ })
})

t.test('an ADD that failed is undone, and its own error is told', async (t) => {
  const type = plugin(
    'full',
    `echo "$CNI_COMMAND" >> "$left"; cat >> "$left"; [ $CNI_COMMAND = DEL ] || { echo '{"code":123,"msg":"no room","details":"all taken"}'; exit 1; }`,
  )
  t.match(await refusal(call(type)), {
    code: 123,
    msg: 'no room',
    details: 'plugin full: no room: all taken (code 123)',
  })
  t.equal(leftBy(type), `ADD\n${CONFIG.toString()}DEL\n${CONFIG.toString()}`)
})

t.test('what cannot be undone is logged with what the plugin wrote, and a failed DEL is not repeated', async (t) => {
  const type = plugin('stuck', `echo "$CNI_COMMAND" >> "$left"; echo "trouble in $CNI_COMMAND" >&2; exit 2`)
  const logged: string[] = []
  const log = (line: string) => logged.push(line)
  t.match(await refusal(call(type, { log })), {
    code: 5,
    details: 'plugin stuck: ADD ended with exit code 2 and no error that could be read: trouble in ADD',
  })
  t.match(logged, ['trouble in ADD', 'trouble in DEL', /^plugin stuck: DEL ended .*, to undo plugin stuck: ADD ended/])
  t.match(await refusal(call(type, { command: 'DEL' })), { code: 5 })
  t.equal(leftBy(type), 'ADD\nDEL\nDEL\n')
})

/** Waits until a process is gone, or is nothing but an entry that nobody has asked for. */
async function gone(pid: string): Promise<void> {
  const stat = `/proc/${pid}/stat`
  const state = (): string => {
    try {
      return readFileSync(stat, 'utf8')
        .replace(/^.*\) /, '')
        .slice(0, 1)
    } catch {
      return 'Z'
    }
  }
  while (state() !== 'Z') await sleep(10)
}

t.test('a plugin that hangs is ended, and what it started along with it', async (t) => {
  const type = plugin('hangs', `sleep 1000 & echo "$$ $!" > "$left"; echo waiting >&2; wait`)
  const logged: string[] = []
  const log = (line: string) => logged.push(line)
  const error = await refusal(call(type, { command: 'CHECK', timeoutMs: 3000, log }))
  t.match(error, { code: 5, details: 'plugin hangs: CHECK was not done after 3000 ms: waiting' })
  for (const pid of leftBy(type).trim().split(' ')) await gone(pid)
  while (logged.length === 0) await sleep(10)
  t.same(logged, ['waiting'])
})

t.test('a plugin that neither reads nor ends is ended too', async (t) => {
  const type = plugin('deaf', `exec sleep 1000`)
  const config = Buffer.alloc(1 << 20, ' ')
  t.match(await refusal(call(type, { command: 'CHECK', config, timeoutMs: 500 })), {
    code: 5,
    details: /^plugin deaf: /,
  })
})

t.test('a plugin need not read its configuration', async (t) => {
  const type = plugin('quick', `exec <&-; ${GIVE}`)
  t.ok(await delegate(call(type, { config: Buffer.alloc(1 << 20, ' ') })))
})

t.test('an endless answer is cut short, and the plugin ended', async (t) => {
  const type = plugin('talks', `echo $$ > "$left"; exec yes`)
  t.match(await refusal(call(type, { command: 'CHECK' })), {
    code: 5,
    details: 'plugin talks: CHECK answered more than 1048576 bytes',
  })
  await gone(leftBy(type).trim())
})

t.test('of endless complaints the end is kept', async (t) => {
  const type = plugin('complains', `yes complaint | head -n 100000 >&2; echo the end >&2; exit 1`)
  t.match(await refusal(call(type, { command: 'CHECK' })), { code: 5, details: /: the end$/ })
})

t.test('a plugin that dies of a signal is told of', async (t) => {
  const type = plugin('dies', `echo almost >&2; kill -SEGV $$`)
  t.match(await refusal(call(type, { command: 'CHECK' })), {
    code: 5,
    details: 'plugin dies: CHECK ended with signal SIGSEGV: almost',
  })
})

t.test('who stays behind with the pipes of a plugin does not hold up its answer', async (t) => {
  const type = plugin('leaves', `sleep 1000 & echo $! > "$left"; ${GIVE}`)
  t.ok(await delegate(call(type)))
  process.kill(Number(leftBy(type)), 'SIGKILL')
})

t.test('plugins run side by side', async (t) => {
  const type = plugin('many', `printf '{"ips":[{"address":"10.1.0.%s/24"}]}' "$CNI_ARGS"`)
  const numbers = Array.from({ length: 20 }, (_, i) => String(i + 1))
  const results = await Promise.all(numbers.map((args) => delegate(call(type, { env: { ...ENV, args } }))))
  t.same(
    results.map((result) => result?.ips[0]?.address.address),
    numbers.map((number) => `10.1.0.${number}`),
  )
})
