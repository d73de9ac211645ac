import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Place } from '../../src/cli/demo/place.js'
import { VERSION } from '../../src/daemon/version.js'
import { ask } from '../support/lab.js'
import { manifestObject } from '../support/manifest.js'
import { type CniOutput, clearNamespace, eventually, ip, raiseUplink, run, SELF } from '../support/node.js'
import { AgentContainer, unpackImage, withoutImage } from '../support/runc.js'
import { Sandboxes } from '../support/sandboxes.js'

/** The container image runs as the DaemonSet has it, and what it installs attaches pods. */

t.test('the image as a node runs it', { skip: withoutImage() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-image-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  t.teardown(clearNamespace)
  raiseUplink()
  // As systemd leaves the mounts of a machine: a container hears of namespaces that are made later.
  run('mount', '--make-rshared', '/run')
  const at = (path: string): string => join(folder, path)
  const root = at('rootfs')
  const image = unpackImage(at('layout'), root)

  t.test('it holds what it says, and little more', async (t) => {
    const blobs = readdirSync(at('layout/blobs/sha256'))
    t.ok(blobs.length >= 5)
    for (const digest of blobs)
      t.equal(createHash('sha256').update(readFileSync(at(`layout/blobs/sha256/${digest}`))).digest('hex'), digest) // prettier-ignore
    t.match(image, { os: 'linux', config: { Entrypoint: ['/usr/local/bin/netloom'] } })
    t.notOk(existsSync(at('rootfs/bin/sh')), 'no shell')
    t.strictSame(readdirSync(at('rootfs/opt/netloom/node_modules')).includes('typescript'), false, 'no tools of ours')
    const bytes = readdirSync(at('layout/blobs/sha256')).reduce((sum, name) => sum + readFileSync(at(`layout/blobs/sha256/${name}`)).length, 0) // prettier-ignore
    t.ok(bytes < 64 << 20, `${(bytes / 2 ** 20).toFixed(1)} MiB compressed`)
  })

  for (const path of ['objects', 'opt/cni/bin', 'etc/cni/net.d', 'etc/netloom/objects', 'token']) mkdirSync(at(path), { recursive: true }) // prettier-ignore
  for (const path of ['/run/netloom', '/run/netns']) mkdirSync(path, { recursive: true })
  writeFileSync(at('etc/netloom/objects/node.json'), JSON.stringify(SELF))
  const configuration = manifestObject('ConfigMap').data?.['config.yaml'] ?? ''
  const more = 'source: dir:/etc/netloom/objects\nhealth-address: 127.0.0.1:10247\n'
  writeFileSync(at('etc/netloom/config.yaml'), `${configuration}\n${more}`)
  const folders = {
    '/etc/netloom': at('etc/netloom'),
    '/var/run/secrets/kubernetes.io/serviceaccount': at('token'),
    '/opt/cni/bin': at('opt/cni/bin'),
    '/etc/cni/net.d': at('etc/cni/net.d'),
  }
  const container = new AgentContainer(t, { folder, image, root, folders })
  const conflist = at('etc/cni/net.d/10-netloom.conflist')
  await eventually(() => container.exitCode !== null || existsSync(conflist), 30_000)
  t.ok(existsSync(conflist), container.words)

  t.test('it has no more rights than it is given', async (t) => {
    const status = readFileSync(`/proc/${container.pid}/status`, 'utf8')
    for (const set of ['Prm', 'Eff', 'Bnd']) t.match(status, new RegExp(`^Cap${set}:\\s+0000000000201000$`, 'm'), set)
    t.match(readFileSync(`/proc/${container.pid}/mountinfo`, 'utf8').split('\n').find((line) => line.split(' ')[4] === '/'), / \/ ro/) // prettier-ignore
  })

  t.test('probes are answered', async (t) => {
    for (const path of ['livez', 'readyz']) {
      const response = await fetch(`http://127.0.0.1:10247/${path}`)
      t.same([response.status, await response.text()], [200, 'ok\n'], path)
    }
  })

  t.test('an administrator can ask it', async (t) => {
    t.match(container.exec('netloom', 'status'), /^node node-1, netloom .*: ready\n[^]*no problems\n$/)
    t.equal(container.exec('netloom', 'version'), `${VERSION}\n`)
    const printed = container.exec('netloom', 'agent', '--config', '/etc/netloom/config.yaml', '--print-config')
    t.match(printed, /^cni-bin-dir: \/opt\/cni\/bin +# \/etc\/netloom\/config\.yaml:\d+$/m)
  })

  const { plugins, ...list } = JSON.parse(readFileSync(conflist, 'utf8')) as { plugins: readonly object[] }
  const cni = (command: string, more: object = {}) => {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'a',
      CNI_NETNS: '/run/netns/a',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/',
    }
    const input = JSON.stringify({ ...list, ...plugins[0], ...more })
    const { status, stdout } = spawnSync(at('opt/cni/bin/netloom'), { env, input, encoding: 'utf8' })
    return { status, answer: stdout === '' ? undefined : (JSON.parse(stdout) as CniOutput) }
  }

  t.test('a pod is attached, reached, and taken off by the executable that it installed', async (t) => {
    const sandbox = await new Sandboxes(t).create('a')
    await sandbox.serve(80)
    const sysctl = { sysctl: { 'net/ipv4/conf/IFNAME/arp_filter': '1' } }
    const added = cni('ADD', sysctl)
    t.equal(added.status, 0, JSON.stringify(added.answer))
    const here = new Place('/proc/self/ns/net')
    t.teardown(() => here.close())
    for (const { address = '' } of added.answer?.ips ?? [])
      t.match((await ask(here, 'TCP', address.replace(/\/.*/, ''), 80)).answer, { pod: 'a' }, address)
    t.equal(cni('CHECK', { ...sysctl, prevResult: added.answer }).status, 0)
    t.equal(cni('DEL', sysctl).status, 0)
    t.notMatch(ip('link'), /nlm-/)
    const setting = sandbox.place.run(() => readFileSync('/proc/sys/net/ipv4/conf/all/forwarding', 'utf8'))
    t.equal(setting.trim(), '0', "what it set in the node's network it did not set in the pod's")
    t.equal(readFileSync('/proc/sys/net/ipv4/conf/all/forwarding', 'utf8').trim(), '1')
  })

  t.test('it ends when it is told, and leaves what it installed', async (t) => {
    t.equal(await container.stop(), 0, container.words)
    t.ok(existsSync(conflist))
    t.notMatch(container.words, /"level":[456]0/, 'and there was nothing to warn of')
  })

  t.test('in its place "uninstall" takes everything away again', async (t) => {
    const other = new AgentContainer(t, { folder, image, root, folders, args: ['uninstall'] })
    await eventually(() => other.exitCode !== null, 20_000)
    t.equal(other.exitCode, 0, other.words)
    t.strictSame([readdirSync(at('opt/cni/bin')), readdirSync(at('etc/cni/net.d'))], [[], []])
    t.strictSame(readdirSync('/run/netloom'), [])
    t.notMatch(ip('link'), /netloom0/)
  })
  t.end()
})
