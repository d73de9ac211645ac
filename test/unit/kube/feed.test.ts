import t from 'tap'
import { pino } from 'pino'
import { parseObject } from '../../../src/model/object.js'
import { Feed } from '../../../src/kube/feed.js'
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

t.test('changes and what follows from them come as one batch, with the store up to date', async (t) => {
  const feed = new Feed(quiet)
  const batches: string[][] = []
  feed.subscribe((changes) => {
    t.equal([...feed.store.slicesOf('default/web')].length, 1)
    batches.push(changes.map(({ kind, key }) => `${kind} ${key}`))
  })
  feed.publish([service, pod])
  t.same(batches, [['Service default/web', 'Pod default/web-0', 'EndpointSlice default/web-derived:ipv4-1']])
})

t.test('no changes are no batch', async (t) => {
  const feed = new Feed(quiet)
  feed.subscribe(() => t.fail('was told of nothing'))
  feed.publish([])
  t.pass()
})

t.test('a listener that fails is logged and hurts no other', async (t) => {
  const lines: string[] = []
  const feed = new Feed(pino({ level: 'error' }, { write: (line: string) => lines.push(line) }))
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
  const feed = new Feed(quiet)
  let told = 0
  const listener = (): number => told++
  const end = feed.subscribe(listener)
  feed.subscribe(listener)
  end()
  feed.publish([node])
  t.equal(told, 1)
})
