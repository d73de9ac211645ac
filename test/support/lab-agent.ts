import { parseArgs } from 'node:util'
import { parseCidr } from '../../src/base/ip.js'
import { createLog } from '../../src/base/log.js'
import { Agent } from '../../src/daemon/agent.js'
import { DirectorySource } from '../../src/kube/directory.js'
import { DEFAULT_ROUTING } from '../../src/routes/routing.js'
import { type LabRouting } from './topology.js'

/** An agent as `netloom agent` starts it, with routing as a topology says: `--routing JSON`. */

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', default: '' },
    source: { type: 'string', default: '' },
    socket: { type: 'string', default: '' },
    'state-dir': { type: 'string', default: '' },
    'log-level': { type: 'string', default: 'warn' },
    routing: { type: 'string', default: '{}' },
    'stop-on-stdin-end': { type: 'boolean', default: false },
  },
})

const { select, ...routing } = JSON.parse(values.routing) as LabRouting
const cidrs = select?.cidrs?.map((text) => parseCidr(text))
const log = createLog('warn', 'netloom')
const agent = await Agent.start({
  node: values.node,
  source: new DirectorySource(values.source.slice('dir:'.length), { log }),
  socket: values.socket,
  stateDir: values['state-dir'],
  masqueradeExceptions: [],
  routing: {
    ...DEFAULT_ROUTING,
    ...routing,
    select: {
      ...(select?.interfaces === undefined ? {} : { interfaces: select.interfaces }),
      ...(cidrs === undefined ? {} : { cidrs }),
    },
  },
  log,
})
await new Promise((resolve) => {
  process.stdin.resume().once('close', resolve)
  process.once('SIGTERM', resolve)
})
await agent.stop()
process.exit(0)
