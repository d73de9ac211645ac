import t, { type Test } from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { readKubeconfig } from '../../../../src/kube/api/kubeconfig.js'

const SECRET = 's3cret'
const PEM = '-----BEGIN X-----\nabc\n-----END X-----\n'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

const config = (cluster: object, user: unknown = { token: SECRET }, rest: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'here',
  contexts: [
    { name: 'there', context: { cluster: 'there', user: 'there' } },
    { name: 'here', context: { cluster: 'c', user: 'u' } },
  ],
  clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
  users: [{ name: 'u', user }],
  ...rest,
})

function read(t: Test, value: unknown, files: Record<string, string> = {}) {
  const root = t.testdir({ config: typeof value === 'string' ? value : stringify(value), ...files })
  return readKubeconfig(join(root, 'config'))
}

t.test('the cluster and the user of the current context count', async (t) => {
  const access = await read(t, config({ 'tls-server-name': 'api.example' }))
  t.match(access, { serverName: 'api.example', insecure: false, authority: undefined })
  t.equal(access.server.href, 'https://10.0.0.1:6443/')
  t.same(await access.credentials.proof(), { token: SECRET, certificate: undefined })
})

t.test('certificates stand in the file or beside it, and the former counts', async (t) => {
  const inline = { 'client-certificate-data': base64(PEM), 'client-key-data': base64(PEM), 'client-key': 'gone' }
  const access = await read(t, config({ 'certificate-authority-data': base64(PEM) }, inline))
  t.equal(await access.authority?.read(), PEM)
  t.same(await access.credentials.proof(), { token: undefined, certificate: { cert: PEM, key: PEM } })
  const beside = { 'client-certificate': 'cert', 'client-key': './key' }
  const other = await read(t, config({ 'certificate-authority': 'ca' }, beside), { ca: 'CA', cert: 'CERT', key: 'KEY' })
  t.equal(await other.authority?.read(), 'CA')
  t.match(await other.credentials.proof(), { certificate: { cert: 'CERT', key: 'KEY' } })
})

t.test('a token file comes before a token, and is read again', async (t) => {
  const access = await read(t, config({}, { token: 'x', tokenFile: 'token' }), { token: 'one' })
  t.match(await access.credentials.proof(), { token: 'one' })
  writeFileSync(join(t.testdirName, 'token'), 'two')
  access.credentials.expire()
  t.match(await access.credentials.proof(), { token: 'two' })
})

t.test('who names no user is nobody, and who asks for no proof of the server gets none', async (t) => {
  const contexts = [{ name: 'here', context: { cluster: 'c' } }]
  const access = await read(t, config({ 'insecure-skip-tls-verify': true }, undefined, { contexts }))
  t.equal(access.insecure, true)
  t.same(await access.credentials.proof(), { token: undefined, certificate: undefined })
})

const exec = (fields: object): object => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'x', interactiveMode: 'Never', ...fields },
})

const REFUSALS: Record<string, [value: unknown, field: string | undefined]> = {
  'no YAML': [`a: [${SECRET}`, ''],
  'another kind': [config({}, {}, { kind: 'Pod' }), 'kind'],
  'no current context': [config({}, {}, { 'current-context': '' }), 'current-context'],
  'a context that is not there': [config({}, {}, { 'current-context': 'x' }), 'current-context'],
  'a cluster that is not there': [config({}, {}, { clusters: [] }), 'contexts[1].context.cluster'],
  'a user that is not there': [config({}, {}, { users: [] }), 'contexts[1].context.user'],
  'no server': [config({ server: undefined }), 'clusters[0].cluster.server'],
  'a server without a scheme': [config({ server: '10.0.0.1:6443' }), 'clusters[0].cluster.server'],
  'a server with a password': [config({ server: `https://u:${SECRET}@x` }), 'clusters[0].cluster.server'],
  'a token in the clear': [config({ server: 'http://10.0.0.1' }), 'clusters[0].cluster.server'],
  'a proxy': [config({ 'proxy-url': 'http://proxy' }), 'clusters[0].cluster[proxy-url]'],
  'an authority that is not used': [
    config({ 'insecure-skip-tls-verify': true, 'certificate-authority': 'x' }),
    'clusters[0].cluster[insecure-skip-tls-verify]',
  ],
  'an authority that is none': [
    config({ 'certificate-authority-data': base64(SECRET) }),
    'clusters[0].cluster[certificate-authority-data]',
  ],
  'a password': [config({}, { username: 'u', password: SECRET }), 'users[0].user.username'],
  'an auth provider': [config({}, { 'auth-provider': { name: 'gcp' } }), 'users[0].user[auth-provider]'],
  impersonation: [config({}, { token: SECRET, as: 'admin' }), 'users[0].user.as'],
  'a user that is a text': [config({}, SECRET), 'users[0].user'],
  'a token that is a number': [config({}, { token: 12345 }), 'users[0].user.token'],
  'an empty token': [config({}, { token: '' }), 'users[0].user.token'],
  'a certificate without its key': [config({}, { 'client-certificate': 'x' }), 'users[0].user[client-key]'],
  'a key without its certificate': [config({}, { 'client-key': 'x' }), 'users[0].user[client-certificate]'],
  'a plugin without a command': [config({}, exec({ command: '' })), 'users[0].user.exec.command'],
  'a plugin of an old version': [
    config({}, exec({ apiVersion: 'client.authentication.k8s.io/v1alpha1' })),
    'users[0].user.exec.apiVersion',
  ],
  'a plugin that needs a terminal': [
    config({}, exec({ interactiveMode: 'Always' })),
    'users[0].user.exec.interactiveMode',
  ],
  'a plugin that does not say': [
    config({}, exec({ interactiveMode: undefined })),
    'users[0].user.exec.interactiveMode',
  ],
  'a variable without a value': [config({}, exec({ env: [{ name: 'A' }] })), 'users[0].user.exec.env[0].value'],
  'a variable that is a text': [config({}, exec({ env: [`A=${SECRET}`] })), 'users[0].user.exec.env[0]'],
  'a plugin beside a token': [config({}, { token: SECRET, ...exec({}) }), 'users[0].user.exec'],
}

t.test('mistakes are errors that name the file and the field, and never repeat a secret', async (t) => {
  for (const [what, [value, field]] of Object.entries(REFUSALS)) {
    const reading = read(t, value)
    await t.rejects(reading, { code: 'invalid', field, message: /\/config: / }, what)
    await reading.catch((error: unknown) => t.notMatch(String(error), SECRET, `${what}: no secret`))
  }
})

t.test('a file that is not there is named', async (t) => {
  await t.rejects(readKubeconfig(join(t.testdir({}), 'gone')), { code: 'not-found', message: /gone/ })
  await t.rejects(readKubeconfig(t.testdir({})), { code: 'io', operation: /read kubeconfig/ })
})
