import { createConnection, createServer } from 'node:net'
import { once } from 'node:events'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Health, type Readiness } from '../../../src/daemon/health.js'

const silent = pino({ level: 'silent' })

/** A port of loopback that nobody has. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function listening(t: Test, readiness: Readiness) {
  const port = await freePort()
  const health = await Health.listen({ host: '127.0.0.1', port }, readiness, silent)
  t.teardown(() => health.close())
  return {
    port,
    health,
    get: async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`)
      return [response.status, await response.text()]
    },
  }
}

t.test('an agent lives as long as it answers, and is ready when it can attach pods', async (t) => {
  let reason: string | undefined = 'the agent is starting'
  const { get } = await listening(t, () => reason)
  t.strictSame(await get('/livez'), [200, 'ok\n'])
  t.strictSame(await get('/readyz'), [503, 'the agent is starting\n'])
  reason = undefined
  t.strictSame(await get('/readyz?verbose'), [200, 'ok\n'])
  t.strictSame(await get('/constructor'), [404, 'there is /livez and /readyz\n'])
})

t.test('a port that somebody else has ends the start with its name', async (t) => {
  const { port } = await listening(t, () => undefined)
  await t.rejects(
    Health.listen({ host: '127.0.0.1', port }, () => undefined, silent),
    {
      code: 'io',
      field: 'health-address',
      message: new RegExp(`^health-address: cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
    },
  )
})

t.test('nonsense is no more than a closed connection, and an open one does not hold up the end', async (t) => {
  const { port, health, get } = await listening(t, () => undefined)
  const nonsense = createConnection(port, '127.0.0.1')
  nonsense.on('error', () => undefined).end('\0\0\0\r\n\r\n')
  await once(nonsense, 'close')
  t.strictSame(await get('/livez'), [200, 'ok\n'])
  const idle = createConnection(port, '127.0.0.1')
  idle.on('error', () => undefined)
  await once(idle, 'connect')
  await t.resolves(health.close())
})
