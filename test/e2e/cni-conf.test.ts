import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Place } from '../../src/cli/demo/place.js'
import { ROOT } from '../support/cni-exec.js'
import { hideVarLib } from '../support/cnitool.js'
import { callList, type ConfigurationList, missingOf } from '../support/conflist.js'
import { ask } from '../support/lab.js'
import { clearNamespace, ip, nft, PEER, raiseUplink, SELF, TestNode } from '../support/node.js'
import { Sandboxes } from '../support/sandboxes.js'
import { Standalone } from '../support/standalone.js'

/** Every file of cni-conf/, as it is, but for where the test's own agent or program is. */

const FOLDER = join(ROOT, 'cni-conf')
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.conflist'))

const CAPABILITIES = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
  bandwidth: { ingressRate: 1e9, ingressBurst: 1e8, egressRate: 1e9, egressBurst: 1e8 },
}

const read = (name: string): ConfigurationList =>
  JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as ConfigurationList

t.test('there is one, and its documentation names each', async (t) => {
  t.ok(files.length >= 6)
  const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8')
  for (const name of files) t.ok(readme.includes(`\`${name}\``), name)
})

/** The reference plugin bandwidth wants what br_netfilter makes us use; see cni-conf/README.md. */
function withoutBridgeNetfilter(): void {
  for (const name of ['iptables', 'ip6tables']) {
    const setting = `/proc/sys/net/bridge/bridge-nf-call-${name}`
    if (existsSync(setting)) writeFileSync(setting, '0')
  }
}

for (const name of files) {
  const list = read(name)
  const missing = missingOf(list)
  const skip = missing.length > 0 ? `not installed: ${missing.join(', ')}` : false
  t.test(`${name}: containers reach each other and are reached, and nothing stays behind`, { skip }, async (t) => {
    t.teardown(clearNamespace)
    raiseUplink()
    hideVarLib()
    withoutBridgeNetfilter()
    const alone = new Standalone(t)
    const node = new TestNode(t, [SELF, PEER])
    const isAlone = list.plugins.some(({ agent }) => agent === 'off')
    if (!isAlone) await node.start()
    const env = {
      NETLOOM_SOCKET: node.socket,
      NETLOOM_PROGRAM: alone.program,
      NETLOOM_STATE_DIR: alone.stateDir,
    }
    const before = nft('list', 'ruleset')
    const sandboxes = new Sandboxes(t)
    const pods = []
    for (const containerId of ['a', 'b']) {
      const sandbox = await sandboxes.create(containerId)
      const capabilities = containerId === 'a' ? CAPABILITIES : {}
      const result = await callList('ADD', list, { containerId, capabilities, env })
      t.ok(result?.ips?.length, 'it has addresses')
      await sandbox.serve(80)
      const addresses = (result?.ips ?? []).map(({ address }) => address.split('/')[0] ?? '')
      pods.push({ containerId, capabilities, result, place: sandbox.place, addresses })
    }
    const [a, b] = pods as [(typeof pods)[0], (typeof pods)[0]]
    const here = new Place('/proc/self/ns/net')
    t.teardown(() => here.close())
    for (const [i, address] of b.addresses.entries()) {
      t.match((await ask(a.place, 'TCP', address, 80)).answer, { pod: 'b', client: a.addresses[i] }, `a to ${address}`)
      t.match((await ask(here, 'TCP', address, 80)).answer, { pod: 'b' }, `the node to ${address}`)
    }
    if (list.plugins.some(({ capabilities }) => capabilities?.['portMappings'] === true))
      t.match((await ask(b.place, 'TCP', '192.168.50.1', 8080)).answer, { pod: 'a' }, 'a port of the node leads to a')
    for (const { result: prevResult, ...pod } of pods) await callList('CHECK', list, { ...pod, prevResult, env })
    for (const { result: prevResult, ...pod } of pods)
      for (let time = 0; time < 2; time++) await callList('DEL', list, { ...pod, prevResult, env })
    t.notMatch(ip('link'), /nlm-|nli-|veth/, 'no link')
    t.notMatch(ip('route'), /proto 111/, 'no route')
    if (!isAlone) t.equal(nft('list', 'tables').match(/netloom/g)?.length, before.match(/^table .*netloom/gm)?.length)
    const left = nft('list', 'ruleset')
    for (const address of [...a.addresses, ...b.addresses]) t.notMatch(left, new RegExp(`\\b${address}\\b`), 'no rule')
  })
}
