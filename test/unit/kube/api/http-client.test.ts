import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ApiAccess, type Credentials } from '../../../../src/kube/api/access.js'
import { textCredentials } from '../../../../src/kube/api/credentials.js'
import { HttpApiClient } from '../../../../src/kube/api/http-client.js'
import { fixedText } from '../../../../src/kube/api/text.js'
import { FakeApi, status } from '../../../support/fake-api.js'

const NODES = '/api/v1/nodes'

function accessTo(url: string, credentials: Credentials = textCredentials(undefined, undefined)): ApiAccess {
  return { server: new URL(url), authority: undefined, serverName: undefined, insecure: false, credentials }
}

async function world(t: Test, credentials?: Credentials): Promise<{ api: FakeApi; client: HttpApiClient }> {
  const api = await FakeApi.start()
  const client = new HttpApiClient(accessTo(api.url, credentials), { userAgent: 'netloom/9' })
  t.teardown(async () => {
    client.close()
    await api.close()
  })
  return { api, client }
}

t.test('a call asks in JSON, compressed, under its own name, and over a kept connection', async (t) => {
  const { api, client } = await world(t, textCredentials(fixedText('s3cret'), undefined))
  api.gzip = true
  api.put(NODES, { metadata: { name: 'n1' } })
  t.match(await client.call({ method: 'GET', path: NODES, query: { limit: 5, labelSelector: '!a,b=c&d' } }), {
    kind: 'NodeList',
    items: [],
  })
  t.match(await client.call({ method: 'GET', path: `${NODES}/n1` }), { metadata: { name: 'n1' } })
  const [first] = api.requests
  t.match(first?.query, { limit: '5', labelSelector: '!a,b=c&d' })
  t.match(first?.headers, {
    accept: 'application/json',
    'accept-encoding': 'gzip',
    'user-agent': 'netloom/9',
    authorization: 'Bearer s3cret',
  })
})

t.test('what is sent is JSON of the kind that the patch says', async (t) => {
  const { api, client } = await world(t)
  await client.call({ method: 'POST', path: NODES, body: { a: 'ä' } })
  for (const patch of ['merge', 'json', 'strategic'] as const)
    await client.call({ method: 'PATCH', path: NODES, body: [], patch })
  t.equal(api.requests[0]?.body, '{"a":"ä"}')
  t.same(
    api.requests.map(({ headers }) => headers['content-type']),
    [
      'application/json',
      'application/merge-patch+json',
      'application/json-patch+json',
      'application/strategic-merge-patch+json',
    ],
  )
})

t.test('a refusal says what the server said, and when to ask again', async (t) => {
  const { api, client } = await world(t)
  api.fail({ status: 429, headers: { 'retry-after': '2' }, body: status(429) })
  await t.rejects(client.call({ method: 'GET', path: NODES }), {
    code: 'unavailable',
    status: 429,
    retryAfterMs: 2000,
    operation: `GET ${NODES}`,
  })
  api.fail({ text: '<html>hello</html>' })
  await t.rejects(client.call({ method: 'GET', path: NODES }), { code: 'unavailable', message: /no JSON/ })
})

t.test('a server that is not there, breaks off or hangs is unavailable', async (t) => {
  const { api, client } = await world(t)
  api.put(NODES, { metadata: { name: 'n1' } })
  api.fail('cut')
  await t.rejects(client.call({ method: 'GET', path: NODES }), { code: 'unavailable', message: /broke off/ })
  api.fail('hang')
  await t.rejects(client.call({ method: 'GET', path: NODES, timeoutMs: 50 }), {
    code: 'unavailable',
    message: 'the API server did not answer within 50 ms',
  })
  const nobody = new HttpApiClient(accessTo('http://127.0.0.1:1'), { userAgent: 'x' })
  await t.rejects(nobody.call({ method: 'GET', path: NODES }), { code: 'unavailable', message: /ECONNREFUSED/ })
})

t.test('a call ends when somebody no longer wants the answer', async (t) => {
  const { api, client } = await world(t)
  api.fail('hang')
  const stop = new AbortController()
  const call = client.call({ method: 'GET', path: NODES, signal: stop.signal })
  setTimeout(() => stop.abort(new Error('enough')), 20)
  await t.rejects(call, { message: 'enough' })
  await t.rejects(client.call({ method: 'GET', path: NODES, signal: stop.signal }))
})

t.test('a question on a kept connection that was just closed is put again, an order is not', async (t) => {
  const { api, client } = await world(t)
  await client.call({ method: 'GET', path: NODES })
  api.fail('reset')
  t.match(await client.call({ method: 'GET', path: NODES }), { kind: 'NodeList' })
  api.fail('reset')
  await t.rejects(client.call({ method: 'POST', path: NODES, body: {} }), { code: 'unavailable' })
})

t.test('a token that is refused is renewed, and the call made again if it is another one then', async (t) => {
  const tokens = ['old', 'new', 'newer']
  let expired = 0
  const credentials: Credentials = {
    proof: async () => ({ token: tokens[Math.min(expired, 1)], certificate: undefined }),
    expire: () => expired++,
  }
  const { api, client } = await world(t, credentials)
  api.tokens = new Set(['new'])
  t.match(await client.call({ method: 'GET', path: NODES }), { kind: 'NodeList' })
  t.equal(expired, 1)
  api.tokens = new Set(['newest'])
  const refused = client.call({ method: 'GET', path: NODES })
  await t.rejects(refused, { code: 'denied', status: 401 })
  await refused.catch((error: unknown) => t.notMatch(JSON.stringify(error), /new/, 'and no error holds it'))
  t.equal(api.requests.length, 3, 'the same token is not tried twice')
})

/** What a watch tells until it ends, and how it ends. */
async function collect(
  values: Promise<AsyncIterable<readonly unknown[]>>,
): Promise<{ told: unknown[]; error?: unknown }> {
  const told: unknown[] = []
  try {
    for await (const batch of await values) told.push(...batch)
  } catch (error) {
    return { told, error }
  }
  return { told }
}

const watchOf = (client: HttpApiClient, signal = new AbortController().signal) =>
  collect(client.watch({ path: NODES, query: { resourceVersion: '0' }, signal }))

async function opened(api: FakeApi) {
  while (api.openWatches().length === 0) await sleep(2)
  return api.openWatches()[0]!
}

t.test('a watch tells values as they come, wherever the lines are cut, until the server ends it', async (t) => {
  const { api, client } = await world(t)
  const watching = watchOf(client)
  const watch = await opened(api)
  const bytes = Buffer.from('{"type":"ADDED","object":"ä"}\n{"type":"BOOKMARK"}\n')
  for (const byte of bytes) {
    watch.write(new Uint8Array([byte]))
    await sleep(1)
  }
  watch.end()
  t.same(await watching, { told: [{ type: 'ADDED', object: 'ä' }, { type: 'BOOKMARK' }] })
  t.equal(api.requests[0]?.query['watch'], 'true')
})

t.test('a watch that breaks off says so, after all that it told', async (t) => {
  const { api, client } = await world(t)
  const dropped = watchOf(client)
  const watch = await opened(api)
  watch.send({ type: 'ADDED' })
  await sleep(20)
  watch.drop()
  t.match(await dropped, { told: [{ type: 'ADDED' }], error: { code: 'unavailable', message: /broke off/ } })
  const half = watchOf(client)
  ;(await opened(api)).write('{"type":')
  api.openWatches()[0]?.end()
  t.match(await half, { told: [], error: { code: 'unavailable', message: /middle of a line/ } })
})

t.test('a watch ends when somebody says so', async (t) => {
  const { api, client } = await world(t)
  const stop = new AbortController()
  const watching = watchOf(client, stop.signal)
  await opened(api)
  stop.abort(new Error('enough'))
  t.match(await watching, { told: [], error: { message: 'enough' } })
  while (api.openWatches().length > 0) await sleep(2)
  t.pass('the server sees it')
})

t.test('a watch that is refused throws what the server says', async (t) => {
  const { api, client } = await world(t)
  api.fail({ status: 410, body: status(410) })
  t.match(await watchOf(client), { told: [], error: { status: 410 } })
})
