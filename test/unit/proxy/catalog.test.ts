import t from 'tap'
import { IPV4 } from '../../../src/base/family.js'
import { FrontendCatalog, type FrontendChange } from '../../../src/proxy/catalog.js'
import { type Frontend } from '../../../src/proxy/frontend.js'

/** A frontend of a Service: `ADDRESS:PORT`, and its endpoints as `ADDRESS:PORT` with `*` for those of this node. */
function frontend(service: string, at: string, ...endpoints: readonly string[]): Frontend {
  const [address = '', port] = at.split(':')
  return {
    family: IPV4,
    address,
    protocol: 'TCP',
    port: Number(port),
    service,
    endpoints: endpoints.map((text) => {
      const [target = '', targetPort] = text.replace('*', '').split(':')
      return { address: target, port: Number(targetPort), local: text.endsWith('*') }
    }),
  }
}

const lines = (changes: readonly FrontendChange[]): string[] =>
  changes.map(
    ({ key, frontend: now }) =>
      `${key} = ${now === undefined ? 'gone' : `${now.service} ${now.endpoints.map(({ address }) => address).join(',')}`}`,
  )

const KEY = '10.96.0.1 TCP 80'
const VIP = '10.96.0.1:80'

t.test('frontends come, change and go with their Service', async (t) => {
  const catalog = new FrontendCatalog()
  t.same(lines(catalog.set('a', [frontend('a', VIP, '10.1.0.2:80')])), [`${KEY} = a 10.1.0.2`])
  t.same(lines(catalog.set('a', [frontend('a', VIP, '10.1.0.2:80', '10.1.0.3:80')])), [`${KEY} = a 10.1.0.2,10.1.0.3`])
  t.equal(catalog.size, 1)
  t.same(lines(catalog.set('a', [])), [`${KEY} = gone`])
  t.equal(catalog.size, 0)
  t.same([...catalog.all()], [])
})

t.test('what does not change is not told', async (t) => {
  const catalog = new FrontendCatalog()
  const all = [frontend('a', VIP, '10.1.0.2:80'), frontend('a', '10.96.0.1:81', '10.1.0.2:81')]
  catalog.set('a', all)
  t.same(catalog.set('a', all), [])
  t.same(catalog.set('b', []), [], 'a Service that never had any')
  t.same(
    lines(catalog.set('a', [all[0]!, frontend('a', '10.96.0.1:81', '10.1.0.2:82')])),
    ['10.96.0.1 TCP 81 = a 10.1.0.2'],
    'only the port that changed',
  )
})

t.test('an endpoint that moves to this node is a change, because of the hairpin', async (t) => {
  const catalog = new FrontendCatalog()
  catalog.set('a', [frontend('a', VIP, '10.1.0.2:80')])
  t.equal(catalog.set('a', [frontend('a', VIP, '10.1.0.2:80*')]).length, 1)
})

t.test(
  'of two Services with one frontend the first by name has it, whatever the order in which they came',
  async (t) => {
    for (const order of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const catalog = new FrontendCatalog()
      for (const name of order) catalog.set(name, [frontend(name, VIP, '10.1.0.2:80')])
      t.equal(catalog.get(KEY)?.service, 'a')
      t.same(
        [...catalog.all()].map(({ service }) => service),
        ['a'],
      )
      t.equal(catalog.size, 1)
      t.same(catalog.conflicts(), [`${KEY}: Service b does not get it, Service a has it`])
    }
  },
)

t.test('the other Service gets the frontend when the first goes, and loses it when it comes back', async (t) => {
  const catalog = new FrontendCatalog()
  catalog.set('b', [frontend('b', VIP, '10.1.0.9:80')])
  t.same(lines(catalog.set('a', [frontend('a', VIP, '10.1.0.2:80')])), [`${KEY} = a 10.1.0.2`])
  t.same(catalog.set('b', [frontend('b', VIP, '10.1.0.8:80')]), [], 'a change of the loser shows nowhere')
  t.same(lines(catalog.set('a', [])), [`${KEY} = b 10.1.0.8`])
  t.same(catalog.conflicts(), [])
})

t.test('Services with the same endpoints still change hands: the winner is told', async (t) => {
  const catalog = new FrontendCatalog()
  catalog.set('a', [frontend('a', VIP, '10.1.0.2:80')])
  catalog.set('b', [frontend('b', VIP, '10.1.0.2:80')])
  t.same(lines(catalog.set('a', [])), [`${KEY} = b 10.1.0.2`])
})

t.test('three claims are one conflict that names all', async (t) => {
  const catalog = new FrontendCatalog()
  for (const name of ['c', 'b', 'a']) catalog.set(name, [frontend(name, VIP)])
  t.same(catalog.conflicts(), [`${KEY}: Service b, c does not get it, Service a has it`])
})

t.test('a Service that changes its address leaves nothing at the old one', async (t) => {
  const catalog = new FrontendCatalog()
  catalog.set('a', [frontend('a', VIP, '10.1.0.2:80')])
  t.same(lines(catalog.set('a', [frontend('a', '10.96.0.2:80', '10.1.0.2:80')])), [
    `${KEY} = gone`,
    '10.96.0.2 TCP 80 = a 10.1.0.2',
  ])
  t.equal(catalog.get(KEY), undefined)
})
