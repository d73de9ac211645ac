import { accessSync, constants, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { type Report } from '../../src/cli/demo/report.js'
import { MAIN, PLUGIN } from '../../src/cli/demo/installation.js'
import { demo, leftovers } from './demo-process.js'

/** `netloom demo` as a user runs it: from one command to packets, and nothing left of it. */

t.setTimeout(240_000)

async function report(...args: string[]): Promise<{ code: number | null; stderr: string; report: Report }> {
  const { code, stdout, stderr } = await demo(['--json', ...args]).done
  return { code, stderr, report: JSON.parse(stdout) as Report }
}

t.test('without a PATH the shop comes up, and every row is reachable', async (t) => {
  const before = leftovers()
  const { code, report: found } = await report()
  t.same(found.failures, [])
  t.equal(code, 0)
  t.equal(found.ok, true)
  t.equal(found.nodes.length, 3)
  for (const { name, subnets, routes } of found.nodes) {
    t.equal(subnets.length, 2, `${name} has a subnet of each family`)
    t.equal(routes.length, 4, `${name} has routes to both other nodes`)
  }
  const { reachability, direct, hairpin } = found
  t.equal(reachability.attempts, reachability.reached + reachability.refused)
  t.ok(reachability.refused > 0, 'the Service without endpoints refused')
  t.equal(direct.unchanged, direct.attempts, 'servers saw the addresses of their clients')
  for (const part of ['sameNode', 'acrossNodes', 'ipv4', 'ipv6'] as const) t.ok(direct[part] > 20, part)
  t.ok(hairpin.attempts > 10)
  t.equal(hairpin.reached, hairpin.attempts, 'pods reached themselves through their Services')
  const shared = found.services.filter(({ endpoints }) => endpoints.length > 1 && endpoints[0]!.answers > 0)
  t.ok(shared.length >= 5)
  t.notOk(shared.some(({ evenness }) => evenness === 'uneven'))
  t.ok(found.phases.reduce((sum, { ms }) => sum + ms, 0) < 60_000)
  t.same(leftovers(), before)
})

t.test('for people it prints sections and a verdict, without colours where nobody sees them', async (t) => {
  const { code, stdout, stderr } = await demo(['--nodes', '1']).done
  t.equal(code, 0)
  for (const title of ['Nodes', 'Pods', 'Services', 'Reachability', 'No NAT between pods', 'Time'])
    t.match(stdout, new RegExp(`^${title}`, 'm'))
  t.match(stdout, /\nOK: \d+ pods on 1 nodes, \d+ Service ports, (\d+) of \1 rows reachable\n$/)
  t.notMatch(stdout + stderr, '\x1b')
  t.match(stderr, /^nodes and their segment\n.*\nclean-up\n$/s, 'progress in plain lines')
})

t.test('a user without rights gets the same', async (t) => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
  const probe = spawnSync(nobody[0]!, [
    ...nobody.slice(1),
    process.execPath,
    '-e',
    `fs.accessSync('${MAIN}'); fs.accessSync('${PLUGIN}')`,
  ])
  if (process.getuid?.() !== 0 || probe.status !== 0) {
    t.pass('', { skip: 'needs root that can become nobody, and a checkout that nobody may read' })
    return
  }
  const { code, stdout, stderr } = await demo(['--json'], nobody).done
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), { ok: true, failures: [] })
})

const BOUTIQUE = resolve('../shared/manifests/online-boutique')

t.test('the online boutique: 12 workloads, and every Service answers from every pod', async (t) => {
  if (!existsSync(BOUTIQUE)) {
    t.pass('', { skip: `${BOUTIQUE} is not there` })
    return
  }
  const { code, report: found } = await report(BOUTIQUE)
  t.same(found.failures, [])
  t.equal(code, 0)
  t.equal(new Set(found.pods.map(({ workload }) => workload)).size, 12)
  t.equal(new Set(found.pods.map(({ node }) => node)).size, 3)
  t.equal(found.services.length, 12)
  for (const { service, endpoints, answers } of found.services) t.ok(endpoints.length > 0 && answers > 0, service)
  const { rows, columns } = found.reachability
  t.equal(columns.length, 12)
  for (const { pod, cells } of rows)
    t.ok(
      cells.every((cell) => cell === 'ok'),
      pod,
    )
})

t.test('pods of the host network serve and ask as well', async (t) => {
  const path = manifest(t, HOST_NETWORK)
  const { code, report: found } = await report('--nodes', '2', path)
  t.same(found.failures, [])
  t.equal(code, 0)
  t.match(found.pods, [{ hostNetwork: true, addresses: ['172.30.0.11', 'fd00:30::11'] }, { hostNetwork: false }])
  t.match(found.services[0], { endpoints: [{ pod: 'default/metrics' }], answers: 60 })
})

const HOST_NETWORK = `
apiVersion: v1
kind: Pod
metadata: { name: metrics, labels: { app: metrics } }
spec: { hostNetwork: true, containers: [{ name: c, ports: [{ containerPort: 9100 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client }
spec: { containers: [{ name: c }] }
---
apiVersion: v1
kind: Service
metadata: { name: metrics }
spec: { ipFamilyPolicy: PreferDualStack, selector: { app: metrics }, ports: [{ port: 80, targetPort: 9100 }] }
---
apiVersion: v1
kind: Service
metadata: { name: nobody }
spec: { ports: [{ port: 53, protocol: UDP }] }
`

function manifest(t: { teardown(end: () => void): void }, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'demo-manifest-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'cluster.yaml')
  writeFileSync(file, text)
  return file
}

t.test("a user's mistakes are one line that says where", async (t) => {
  const broken = manifest(
    t,
    'apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec:\n  ports:\n  - port: 123456\n',
  )
  const empty = manifest(t, 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n')
  const rows: readonly [name: string, args: string[], code: number, line: RegExp][] = [
    ['a field', [broken], 1, /cluster\.yaml:6: spec\.ports\[0\]\.port: 123456 is not within 1 to 65535/],
    ['no such file', ['/nowhere.yaml'], 1, /\/nowhere\.yaml: ENOENT/],
    ['nothing to do', [empty], 1, /has neither workloads nor Services/],
    ['too many nodes', ['--nodes', '21'], 2, /--nodes: '21' is not a number from 1 to 20/],
    ['an unknown option', ['--colour'], 2, /--colour/],
    ['two paths', ['a', 'b'], 2, /unexpected argument 'b'/],
  ]
  for (const [name, args, code, line] of rows) {
    const found = await demo(args).done
    t.equal(found.code, code, `${name}: exit code`)
    t.match(found.stderr, line, name)
    t.equal(found.stdout, '', `${name}: nothing on standard output`)
    t.equal(found.stderr.trim().split('\n').length, 1, `${name}: one line`)
  }
})

t.test('where namespaces cannot be had it says what is missing', async (t) => {
  const { code, stderr } = await demo([], [], { PATH: '/nonexistent' }).done
  t.equal(code, 3)
  t.match(stderr, /^netloom demo: needs namespaces of its own: .*unshare of util-linux is not installed\)\n$/)
})

t.test('the inner half refuses to work in namespaces that are not its own', async (t) => {
  const before = leftovers()
  const { code, stderr } = await demo([], [], { NETLOOM_INSIDE: 'net:[1] mnt:[1]' }).done
  t.equal(code, 1)
  t.match(stderr, /no namespaces of its own/)
  t.same(leftovers(), before)
})

t.test('the CNI executable is there', async (t) => {
  t.doesNotThrow(() => accessSync(PLUGIN, constants.X_OK))
})
