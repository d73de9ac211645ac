import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { EXIT } from '../../../src/cli/command.js'
import { statusCommand, statusText } from '../../../src/cli/status.js'
import { type AgentStatus } from '../../../src/daemon/client.js'
import { SocketServer } from '../../../src/daemon/server.js'
import { printed } from './printed.js'

const STATUS: AgentStatus = {
  node: 'node-1',
  version: '0.1.0',
  ready: true,
  subnets: ['10.244.1.0/24', 'fd00:244:1::/64'],
  routes: [{ destination: '10.244.2.0/24', gateway: '192.168.0.2', node: 'node-2', kind: 'direct' }],
  pods: [
    { containerId: '3b1c', ifname: 'eth0', addresses: ['10.244.1.5', 'fd00:244:1::5'], pod: 'shop/web-1' },
    { containerId: '77aa', ifname: 'net1', addresses: ['10.244.1.6'] },
  ],
  services: { frontends: 12, endpoints: 40, desired: 12 },
  problems: [],
}

t.test('status for people', async (t) => {
  t.equal(
    statusText(STATUS),
    `node node-1, netloom 0.1.0: ready
pod networks: 10.244.1.0/24, fd00:244:1::/64
routes to other nodes: 1
  10.244.2.0/24 via 192.168.0.2 (node-2, direct)
pods: 2
  shop/web-1 eth0 10.244.1.5 fd00:244:1::5
  77aa net1 10.244.1.6
Services: 12 of 12 frontends in the kernel, 40 endpoints
no problems
`,
  )
})

t.test('a node that is not ready, with its problems', async (t) => {
  const nothing = { subnets: [], routes: [], pods: [], services: { frontends: 0, endpoints: 0, desired: 3 } }
  t.equal(
    statusText({ ...STATUS, ...nothing, ready: false, problems: ['no Node object named node-1', 'web.yaml:7: bad'] }),
    `node node-1, netloom 0.1.0: not ready
pod networks: none
routes to other nodes: 0
pods: 0
Services: 0 of 3 frontends in the kernel, 0 endpoints
problems: 2
  no Node object named node-1
  web.yaml:7: bad
`,
  )
})

const CODES: Readonly<Record<string, readonly [status: AgentStatus, code: number]>> = {
  'all is well': [STATUS, EXIT.OK],
  'it is not ready': [{ ...STATUS, ready: false }, EXIT.FAILED],
  'it has a problem': [{ ...STATUS, problems: ['x'] }, EXIT.FAILED],
}

for (const [name, [status, code]] of Object.entries(CODES))
  t.test(`the exit code says that ${name}, and --json gives all of it`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-status-'))
    const socket = join(folder, 'agent.sock')
    const handler = async () => ({ ok: true, result: status })
    const server = new SocketServer(socket, handler, pino({ level: 'silent' }))
    await server.listen()
    t.teardown(async () => {
      await server.close()
      rmSync(folder, { recursive: true })
    })
    const { result, out } = await printed(() => statusCommand.run({ socket, json: true }, []))
    t.equal(result, code)
    t.same(JSON.parse(out), status)
  })
