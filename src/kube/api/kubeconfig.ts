import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { asNetloomError, invalid, NetloomError } from '../../base/errors.js'
import { Cursor } from '../../model/cursor.js'
import { type ApiAccess, type Credentials } from './access.js'
import { type CertificateTexts, textCredentials } from './credentials.js'
import { ExecCredentials } from './exec-credentials.js'
import { readExecPlugin } from './exec-plugin.js'
import { FileText, fixedText, type Text } from './text.js'

/**
 * How a kubeconfig file says that an API server is reached: the cluster and the user of its current context.
 *
 * Read by ourselves: @kubernetes/client-node 1.4 costs 76 MB of memory and 380 ms at start, as much as the whole agent
 * may, and its 2.0 does not load in Node 20.
 * @throws NetloomError `invalid`, naming the file and the field; `io` and `not-found` for the file itself
 */
export async function readKubeconfig(path: string): Promise<ApiAccess> {
  const text = await read(path)
  try {
    return accessOf(new Cursor(parseYaml(text)), dirname(resolve(path)))
  } catch (thrown) {
    const { code, message, field, cause } = asNetloomError(thrown)
    throw new NetloomError(code, `${path}: ${message}`, { field, cause })
  }
}

async function read(path: string): Promise<string> {
  const operation = `read kubeconfig ${path}`
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const gone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (gone) throw new NetloomError('not-found', `there is no kubeconfig ${path}`, { operation, cause: error })
    throw asNetloomError(error, operation)
  }
}

/** Errors of the parser quote the line they are about, which may be a token: only the place is told. */
function parseYaml(text: string): unknown {
  try {
    return parse(text, { prettyErrors: true, logLevel: 'error' })
  } catch (error) {
    const line = /at line \d+, column \d+/.exec(asNetloomError(error).message)?.[0]
    throw invalid('', `is no YAML${line === undefined ? '' : ` (${line})`}`)
  }
}

/** @param folder what paths in the file are relative to */
function accessOf(root: Cursor, folder: string): ApiAccess {
  const kind = root.field('kind')
  if (!kind.absent && kind.string() !== 'Config') throw kind.error(`${kind.quoted} is not Config`)
  const context = named(root.field('contexts'), root.field('current-context')).field('context')
  const cluster = named(root.field('clusters'), context.field('cluster')).field('cluster')
  const userName = context.field('user')
  const user = userName.absent || userName.value === '' ? undefined : named(root.field('users'), userName).field('user')
  return readAccess(cluster, user, folder)
}

/** The entry of a list that a field names. */
function named(list: Cursor, name: Cursor): Cursor {
  const wanted = name.string()
  if (wanted === '') throw name.error('is empty')
  let found: Cursor | undefined
  list.list((entry) => {
    if (entry.field('name').string() === wanted) found ??= entry
  })
  if (found === undefined) throw name.error(`${list.path} has no entry ${name.quoted}`)
  return found
}

function readAccess(cluster: Cursor, user: Cursor | undefined, folder: string): ApiAccess {
  refuse(cluster, REFUSED_OF_CLUSTER)
  const server = readServer(cluster.field('server'))
  const authority = readPem(cluster, 'certificate-authority', folder)
  const insecure = cluster.field('insecure-skip-tls-verify').boolean()
  if (insecure && authority !== undefined)
    throw cluster.field('insecure-skip-tls-verify').error('does not go with a certificate-authority')
  // Whatever stands there instead may be a token, so the error does not repeat it.
  if (user !== undefined && typeof user.value === 'string') throw user.error('is not a mapping')
  if (user !== undefined) refuseInTheClear(server, cluster, user)
  return {
    server,
    authority,
    serverName: cluster.field('tls-server-name').optional((name) => name.string()),
    insecure,
    credentials: user === undefined ? textCredentials(undefined, undefined) : readUser(user, cluster, folder),
  }
}

/** What was removed from Kubernetes, or what this agent does not do, and what to do instead. */
const REFUSED_OF_CLUSTER: Readonly<Record<string, string>> = {
  'proxy-url': 'is not supported, the API server has to be reached directly',
}

const NO_IMPERSONATION = 'is not supported, the agent acts as itself'

const REFUSED_OF_USER: Readonly<Record<string, string>> = {
  username: 'passwords were removed in Kubernetes 1.19, use a token or a client certificate',
  password: 'passwords were removed in Kubernetes 1.19, use a token or a client certificate',
  'auth-provider': 'was removed in Kubernetes 1.26, use exec',
  as: NO_IMPERSONATION,
  'as-uid': NO_IMPERSONATION,
  'as-groups': NO_IMPERSONATION,
  'as-user-extra': NO_IMPERSONATION,
}

function refuse(place: Cursor, refused: Readonly<Record<string, string>>): void {
  for (const [name, problem] of Object.entries(refused)) {
    const field = place.field(name)
    if (!field.absent && field.value !== '') throw field.error(problem)
  }
}

function readServer(place: Cursor): URL {
  const text = place.string()
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw place.error('is not https://HOST[:PORT]')
  if (url.username !== '' || url.password !== '') throw place.error('holds a user name, which belongs to users')
  if (url.search !== '' || url.hash !== '') throw place.error(`${place.quoted} has more than a host, port and path`)
  return url
}

const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/

/** Through a proxy on the same machine (`kubectl proxy`) a token stays on it, elsewhere everybody can read it. */
function refuseInTheClear(server: URL, cluster: Cursor, user: Cursor): void {
  if (server.protocol === 'https:' || LOOPBACK.test(server.hostname)) return
  const sent = user.fields().some(({ key }) => key === 'token' || key === 'tokenFile' || key === 'exec')
  if (sent) throw cluster.field('server').error('a token would be sent unencrypted, use https')
}

function readUser(user: Cursor, cluster: Cursor, folder: string): Credentials {
  refuse(user, REFUSED_OF_USER)
  const token = readToken(user, folder)
  const certificate = readCertificate(user, folder)
  const exec = user.field('exec')
  if (exec.absent) return textCredentials(token, certificate)
  if (token !== undefined || certificate !== undefined) throw exec.error('does not go with a token or a certificate')
  return new ExecCredentials(readExecPlugin(exec, cluster, folder))
}

/** The file counts where both are given, as for kubectl. */
function readToken(user: Cursor, folder: string): Text | undefined {
  const file = user.field('tokenFile')
  if (!file.absent) return fileText(file, folder)
  return user.field('token').optional((place) => fixedText(secret(place)))
}

function readCertificate(user: Cursor, folder: string): CertificateTexts | undefined {
  const cert = readPem(user, 'client-certificate', folder)
  const key = readPem(user, 'client-key', folder)
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined) throw user.field('client-certificate').error('is missing beside client-key')
  if (key === undefined) throw user.field('client-key').error('is missing beside client-certificate')
  return { cert, key }
}

/** PEM in the field `NAME-data`, which counts where both are given, or in the file that `NAME` names. */
function readPem(place: Cursor, name: string, folder: string): Text | undefined {
  const data = place.field(`${name}-data`)
  if (!data.absent && data.value !== '') return fixedText(readBase64Pem(data))
  const file = place.field(name)
  return file.absent || file.value === '' ? undefined : fileText(file, folder)
}

function readBase64Pem(place: Cursor): string {
  const pem = Buffer.from(secret(place), 'base64').toString('latin1')
  if (!pem.includes('-----BEGIN ')) throw place.error('is not PEM in base64')
  return pem
}

const fileText = (place: Cursor, folder: string): Text =>
  new FileText(resolve(folder, place.string()), { field: place.path })

/** A text that no error repeats. */
function secret(place: Cursor): string {
  if (typeof place.value !== 'string') throw place.error(place.absent ? 'is missing' : 'is not a string')
  if (place.value === '') throw place.error('is empty')
  return place.value
}
