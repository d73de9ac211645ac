import t from 'tap'
import { pino } from 'pino'
import { parseObject } from '../../../src/model/object.js'
import { type Logger } from '../../../src/base/log.js'
import { Feed } from '../../../src/kube/feed.js'
import { Problems } from '../../../src/kube/problems.js'
import { type Change, changeOf } from '../../../src/kube/store.js'

const added = (value: object): Change => changeOf(undefined, parseObject(value))!

const node = added({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } })
const service = added({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
})
const pod = added({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-0', labels: { app: 'web' } },
  status: { podIP: '10.0.0.1' },
})

const quiet = pino({ level: 'silent' })

const feedOf = (log: Logger = quiet, deriveSlices = true): Feed =>
  new Feed({ log, problems: new Problems(log), deriveSlices })

t.test('changes and what follows from them come as one batch, with the store up to date', async (t) => {
  const feed = feedOf()
  const batches: string[][] = []
  feed.subscribe((changes) => {
    t.equal([...feed.store.slicesOf('default/web')].length, 1)
    batches.push(changes.map(({ kind, key }) => `${kind} ${key}`))
  })
  feed.publish([service, pod])
  t.same(batches, [['Service default/web', 'Pod default/web-0', 'EndpointSlice default/web-derived:ipv4-1']])
})

t.test('no changes are no batch', async (t) => {
  const feed = feedOf()
  feed.subscribe(() => t.fail('was told of nothing'))
  feed.publish([])
  t.pass()
})

t.test('a listener that fails is logged and hurts no other', async (t) => {
  const lines: string[] = []
  const feed = feedOf(pino({ level: 'error' }, { write: (line: string) => lines.push(line) }))
  let told = 0
  feed.subscribe(() => {
    throw new Error('broken listener')
  })
  feed.subscribe(() => told++)
  feed.publish([node])
  t.equal(told, 1)
  t.match(lines, [/broken listener/])
})

t.test('a subscription ends for itself only, also where a listener is subscribed twice', async (t) => {
  const feed = feedOf()
  let told = 0
  const listener = (): number => told++
  const end = feed.subscribe(listener)
  feed.subscribe(listener)
  end()
  feed.publish([node])
  t.equal(told, 1)
})

t.test('where a cluster sees to slices, none are derived', async (t) => {
  const feed = feedOf(quiet, false)
  feed.publish([service, pod])
  t.same([...feed.store.slicesOf('default/web')], [])
})

t.test('listeners see Nodes with the subnets that they claimed', async (t) => {
  const feed = feedOf()
  const batches: string[][] = []
  feed.subscribe((changes) => batches.push(changes.map(({ kind, key }) => `${kind} ${key}`)))
  const claim = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: '10.244.1.0-24',
      namespace: 'kube-system',
      labels: { 'app.kubernetes.io/managed-by': 'netloom' },
      annotations: { 'netloom.dev/subnet': '10.244.1.0/24' },
    },
    spec: { holderIdentity: 'n1', acquireTime: '2026-01-01T00:00:00.000000Z' },
  }
  feed.publish([node])
  feed.publish([added(claim)])
  t.same(batches, [['Node n1'], ['Node n1', 'SubnetClaim kube-system/10.244.1.0-24']])
  t.match(feed.store.get('Node', 'n1')?.podCIDRs, [{ address: '10.244.1.0', prefix: 24 }])
})
