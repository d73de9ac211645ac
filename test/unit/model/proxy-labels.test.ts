import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { HEADLESS_LABEL, PROXY_NAME_LABEL, readProxied } from '../../../src/model/proxy-labels.js'

t.test('either label, whatever its value, takes an object from the proxy', async (t) => {
  const proxied = (metadata: object): boolean => readProxied(new Cursor({ metadata }))
  t.ok(proxied({}))
  t.ok(proxied({ labels: { app: 'web' } }))
  for (const label of [HEADLESS_LABEL, PROXY_NAME_LABEL])
    for (const value of ['', 'other']) t.notOk(proxied({ labels: { [label]: value } }))
})
