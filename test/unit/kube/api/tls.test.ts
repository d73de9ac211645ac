import { createServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { type PeerCertificate, TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type ApiAccess } from '../../../../src/kube/api/access.js'
import { textCredentials } from '../../../../src/kube/api/credentials.js'
import { HttpApiClient } from '../../../../src/kube/api/http-client.js'
import { fixedText, type Text } from '../../../../src/kube/api/text.js'
import { CertificateAuthority, type Credential } from '../../../support/certificates.js'

const authority = new CertificateAuthority('cluster')
const other = new CertificateAuthority('other')

/** A server that answers with the name on its caller's certificate. */
async function world(t: Test, hosts: readonly string[]) {
  const { certificate: cert, key } = authority.issue({ name: 'server', hosts })
  const options = { cert, key, ca: authority.certificate, requestCert: true, rejectUnauthorized: false }
  let connections = 0
  const server = createServer(options, (request, response) => {
    const { socket } = request
    const shown: Partial<PeerCertificate> = socket instanceof TLSSocket ? socket.getPeerCertificate() : {}
    response.end(JSON.stringify({ caller: shown.subject?.CN ?? 'nobody' }))
  })
  server.on('secureConnection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const clients: HttpApiClient[] = []
  t.teardown(() => {
    for (const client of clients) client.close()
    server.closeAllConnections()
    server.close()
  })
  const clientOf = (fields: Partial<ApiAccess>): HttpApiClient => {
    const access: ApiAccess = {
      server: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`),
      authority: fixedText(authority.certificate),
      serverName: undefined,
      insecure: false,
      credentials: textCredentials(undefined, undefined),
      ...fields,
    }
    const client = new HttpApiClient(access, { userAgent: 'x' })
    clients.push(client)
    return client
  }
  return { clientOf, connections: () => connections }
}

const ask = (client: HttpApiClient): Promise<unknown> => client.call({ method: 'GET', path: '/x' })

t.test('a server must be vouched for by the authority, and be the one that was asked for', async (t) => {
  const { clientOf } = await world(t, ['127.0.0.1', 'api.example'])
  t.same(await ask(clientOf({})), { caller: 'nobody' })
  const stranger = clientOf({ authority: fixedText(other.certificate) })
  await t.rejects(ask(stranger), { code: 'unavailable', message: /certificate/ })
  await t.rejects(ask(clientOf({ authority: undefined })), { code: 'unavailable' }, 'the system knows it not')
  t.same(await ask(clientOf({ authority: undefined, insecure: true })), { caller: 'nobody' })
})

t.test('a server may be known by another name than it is reached by', async (t) => {
  const { clientOf } = await world(t, ['api.example'])
  await t.rejects(ask(clientOf({})), { code: 'unavailable', message: /127\.0\.0\.1/ })
  t.same(await ask(clientOf({ serverName: 'api.example' })), { caller: 'nobody' })
})

/** A certificate and key that a test replaces. */
function replaceable(first: Credential): { cert: Text; key: Text; replace: (next: Credential) => void } {
  let current = first
  const expire = (): void => undefined
  return {
    cert: { read: async () => current.certificate, expire },
    key: { read: async () => current.key, expire },
    replace: (next) => (current = next),
  }
}

t.test('a caller shows its certificate, and the next one once that has been replaced', async (t) => {
  const { clientOf, connections } = await world(t, ['127.0.0.1'])
  const own = replaceable(authority.issue({ name: 'ann' }))
  const client = clientOf({ credentials: textCredentials(undefined, own) })
  t.same(await ask(client), { caller: 'ann' })
  t.same(await ask(client), { caller: 'ann' })
  t.equal(connections(), 1, 'over one connection')
  own.replace(authority.issue({ name: 'bob' }))
  t.same(await ask(client), { caller: 'bob' })
  t.equal(connections(), 2)
})

t.test('a certificate with the key of another is refused, without either', async (t) => {
  const { clientOf } = await world(t, ['127.0.0.1'])
  const [ann, bob] = [authority.issue({ name: 'ann' }), authority.issue({ name: 'bob' })]
  const own = replaceable({ certificate: ann.certificate, key: bob.key })
  const client = clientOf({ credentials: textCredentials(undefined, own) })
  const refused = ask(client)
  await t.rejects(refused, { code: 'invalid', message: /certificates for https:.* cannot be used/ })
  await refused.catch((error: unknown) => t.notMatch(JSON.stringify(error), /BEGIN/))
  own.replace(bob)
  t.same(await ask(client), { caller: 'bob' }, 'and is no longer when they fit')
})
