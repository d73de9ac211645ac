import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseIp } from '../../../../src/base/ip.js'
import { fileOf, runningPod, StateDirectory } from '../../../../src/cli/demo/state.js'
import { parseObject } from '../../../../src/model/object.js'
import { parse } from 'yaml'

t.test('every object has a file of its own', async (t) => {
  const rows: readonly [kind: string, metadata: object, file: string][] = [
    ['Node', { name: 'node-1' }, 'nodes/node-1.yaml'],
    ['Namespace', { name: 'shop' }, 'namespaces/shop.yaml'],
    ['Service', { name: 'web' }, 'services/default.web.yaml'],
    ['Pod', { name: 'a.b', namespace: 'shop' }, 'pods/shop.a.b.yaml'],
    ['NetworkPolicy', { name: 'deny' }, 'networkpolicies/default.deny.yaml'],
    ['Endpoints', { name: 'web' }, 'endpoints/default.web.yaml'],
  ]
  for (const [kind, metadata, file] of rows) t.equal(fileOf({ kind, metadata }), file, kind)
  t.throws(() => fileOf({ kind: 'Service', metadata: { name: '../../etc/passwd' } }), { code: 'invalid' })
})

t.test('objects are written whole, and replaced', async (t) => {
  const state = new StateDirectory(join(t.testdir(), 'cluster'))
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }
  await state.write([pod, { ...pod, metadata: { name: 'b' } }])
  await state.write([{ ...pod, spec: { nodeName: 'node-1' } }])
  t.same(readdirSync(join(state.path, 'pods')), ['default.a.yaml', 'default.b.yaml'], 'no draft is left')
  t.match(parse(readFileSync(join(state.path, 'pods/default.a.yaml'), 'utf8')), { spec: { nodeName: 'node-1' } })
})

t.test('a running pod is one that Services send packets to', async (t) => {
  const value = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: {} }
  t.match(parseObject(runningPod(value, [parseIp('10.244.1.2'), parseIp('fd00::2')], '172.30.0.11')), {
    phase: 'Running',
    ready: true,
    ips: [{ address: '10.244.1.2' }, { address: 'fd00::2' }],
  })
})
