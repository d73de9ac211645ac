import t from 'tap'
import { ask } from '../../src/cli/demo/client.js'
import { type Place } from '../../src/cli/demo/place.js'
import { Responder } from '../../src/cli/demo/responder.js'
import { createPodNamespace } from '../../src/cli/demo/segment.js'
import { deleteNamespace } from '../../src/kernel/netns.js'

/** Sockets of several namespaces in one thread. */

const NAMES = ['demo-place-a', 'demo-place-b']

async function places(t: { teardown(end: () => void): void }): Promise<Place[]> {
  const made = await Promise.all(NAMES.map((name) => createPodNamespace(name)))
  t.teardown(() => {
    made.forEach((place) => place.close())
    NAMES.forEach((name) => deleteNamespace(name))
  })
  return made
}

const PORTS = (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port: 7, undeclared: false }))

t.test('each namespace has its own sockets: nobody answers on the loopback of another', async (t) => {
  const [a, b] = (await places(t)) as [Place, Place]
  const responder = new Responder(a, { pod: 'default/a', node: 'node-1' })
  t.same(await responder.listen(PORTS), [])
  t.teardown(() => responder.close())
  for (const protocol of ['TCP', 'UDP'] as const)
    for (const address of ['127.0.0.1', '::1']) {
      const inside = await ask(a, protocol, address, 7)
      t.match(inside.answer, { pod: 'default/a', node: 'node-1', port: 7, client: address }, `${protocol} ${address}`)
      t.equal((await ask(b, protocol, address, 7)).failure, 'refused', `${protocol} ${address} elsewhere`)
    }
})

t.test('a port that is taken is told, not thrown', async (t) => {
  const [a] = (await places(t)) as [Place, Place]
  const responder = new Responder(a, { pod: 'default/a', node: 'node-1' })
  t.teardown(() => responder.close())
  t.match(await responder.listen([...PORTS, ...PORTS]), [/TCP port 7: .*EADDRINUSE/, /UDP port 7: .*EADDRINUSE/])
})

t.test('silence is a timeout, other languages are a bad answer, and no route is unreachable', async (t) => {
  const [a] = (await places(t)) as [Place, Place]
  const server = await a.listen(80, (socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request'))
  const silent = await a.listen(81, (socket) => t.teardown(() => socket.destroy()))
  const deaf = await a.bind('udp4', 82)
  t.teardown(() => [server, silent, deaf].forEach((socket) => socket.close()))
  const outcomes = await Promise.all([
    ask(a, 'TCP', '127.0.0.1', 80),
    ask(a, 'TCP', '127.0.0.1', 81),
    ask(a, 'UDP', '127.0.0.1', 82),
    ask(a, 'TCP', '192.0.2.1', 80),
    ask(a, 'UDP', '192.0.2.1', 80),
  ])
  t.same(
    outcomes.map(({ failure }) => failure),
    ['bad answer', 'timeout', 'timeout', 'unreachable', 'unreachable'],
  )
})
