import { spawnSync } from 'node:child_process'
import { randomUUID, sign } from 'node:crypto'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { NetloomError } from '../../src/base/errors.js'
import { familyOf } from '../../src/base/ip.js'
import { type Place } from '../../src/cli/demo/place.js'
import { CertificateAuthority, type CertificateRequest, type Credential, keyPair } from './certificates.js'
import { type Caller, ClusterClient, type KubeInput, type KubeObject, type ObjectReference } from './cluster-client.js'
import { Component, type Flags } from './component.js'
import { ROOT } from './cni-exec.js'

/**
 * A real control plane for one test file: etcd, kube-apiserver and, where it is asked for, kube-controller-manager,
 * as processes of this one's. RBAC counts, so whoever lacks a permission is refused as in a cluster.
 */

/** Whatever envtest of the Kubernetes project takes its programs from is good here, too. */
const PROGRAMS = process.env['KUBEBUILDER_ASSETS'] ?? join(ROOT, 'dist/tools/control-plane')

/** Why there can be none; false where it can. */
export function withoutControlPlane(): string | false {
  const script = join(ROOT, 'scripts/build-control-plane.mjs')
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })
  if (status === 0) return false
  if (status === 3) return `no control plane: ${stderr.trim()}`
  throw new Error(`build-control-plane.mjs: ${stderr}`)
}

type ProgramName = 'etcd' | 'kube-apiserver' | 'kube-controller-manager'

/** Pods' networks that the controller manager gives to nodes. */
export interface NodeNetwork {
  readonly cidr: string
  /** Prefix length of each node's part. */
  readonly nodePrefix: number
}

export interface ControlPlaneOptions {
  /** Where the API server is reached; the first is where the cluster says it is. Loopback unless given. */
  readonly addresses?: readonly string[]
  /** A free one unless given. */
  readonly port?: number
  /** The network namespace it runs in, where it is not this process's own. */
  readonly place?: Place
  /** At most one of each family, that of the first address first. */
  readonly serviceCIDRs?: readonly string[]
  /** At most one of each family. Without any, nodes keep what their objects say. */
  readonly nodeNetworks?: readonly NodeNetwork[]
  /** What the controller manager does; nothing, and there is none, where the list is empty. */
  readonly controllers?: readonly string[]
  /** Flags for what has no option of its own, and instead of those chosen here. */
  readonly flags?: Partial<Record<ProgramName, Flags>>
}

/** Whose calls they are: in a kubeconfig file by what proves it. */
export type Identity = Caller & { readonly tokenFile?: string }

export interface TokenOptions {
  /** Seconds that it is good for. */
  readonly seconds?: number
  /** The audiences instead of the API server. */
  readonly audiences?: readonly string[]
}

/** What the tests' clusters are without. Each controller costs memory and time at the start. */
const CONTROLLERS: readonly string[] = [
  'daemonset-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'namespace-controller',
  'node-lifecycle-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
]
const NODE_IPAM = 'node-ipam-controller'
const SERVICE_CIDRS: readonly string[] = ['10.96.0.0/16', 'fd00:96::/112']
const ISSUER = 'https://kubernetes.default.svc.cluster.local'
/** The API server gives out none that lasts shorter. */
const SHORTEST_TOKEN = 600

export class ControlPlane {
  /** Where it keeps everything; gone after {@link stop}. */
  readonly directory = mkdtempSync(join(memory(), 'netloom-control-plane-'))
  readonly addresses: readonly string[]
  readonly port: number
  /** May do everything. */
  readonly admin: ClusterClient
  readonly #options: ControlPlaneOptions
  readonly #authority = new CertificateAuthority('netloom test')
  readonly #serviceAccountKey = keyPair().privateKey
  readonly #clients: ClusterClient[] = []
  readonly #components = new Map<ProgramName, Component>()

  private constructor(options: ControlPlaneOptions, port: number) {
    this.#options = options
    this.addresses = options.addresses ?? ['127.0.0.1']
    this.port = port
    this.admin = this.client({ credential: this.certificate({ name: 'admin', groups: ['system:masters'] }) })
  }

  /** Starts everything and waits until it answers. {@link stop} ends it; so does the end of this process. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    raiseLoopback(options.place)
    const plane = new ControlPlane(options, options.port ?? (await freePort(options.place)))
    try {
      await plane.#start()
    } catch (error) {
      await plane.stop()
      throw error
    }
    return plane
  }

  /** PEM: the authority that signed the server's certificate. */
  get ca(): string {
    return this.#authority.certificate
  }

  /** The API server's URL at its first address, or at another. */
  url(address = this.#address): string {
    return `https://${address.includes(':') ? `[${address}]` : address}:${this.port}`
  }

  /** A certificate that the API server takes for this user. */
  certificate(request: CertificateRequest): Credential {
    return this.#authority.issue(request)
  }

  /** A client in the server's namespace, closed with the control plane. */
  client(caller: Caller = {}): ClusterClient {
    const { place } = this.#options
    const client = new ClusterClient({ address: this.#address, port: this.port, ca: this.ca, place }, caller)
    this.#clients.push(client)
    return client
  }

  /**
   * A service account's token, as kubelet gets it for a pod. The API server refuses to make one for less than ten
   * minutes; such a one is signed here with the server's own key, which the server cannot tell.
   */
  async serviceAccountToken(namespace: string, name: string, options: TokenOptions = {}): Promise<string> {
    const { seconds = 3600, audiences = [ISSUER] } = options
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } }
    if (seconds < SHORTEST_TOKEN) return this.#sign(await this.admin.get(account), { seconds, audiences })
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences, expirationSeconds: seconds },
    }
    const path = `${await this.admin.path(account)}/token`
    const answer = await this.admin.call({ method: 'POST', path, body })
    return (answer as { status: { token: string } }).status.token
  }

  /** A JSON web token (RFC 7519). */
  #sign({ metadata }: KubeObject, { seconds, audiences }: Required<TokenOptions>): string {
    const { namespace = '', name, uid } = metadata
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: ISSUER,
      aud: audiences,
      sub: `system:serviceaccount:${namespace}:${name}`,
      iat: now,
      nbf: now,
      exp: now + seconds,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
    }
    const text = [{ alg: 'ES256', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    // RFC 7515 has the two numbers one after the other, where X.509 has them in DER.
    const signature = sign('sha256', Buffer.from(text), { key: this.#serviceAccountKey, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }

  /** Writes a kubeconfig file. @returns its path */
  kubeconfig({ credential, token, tokenFile }: Identity, address = this.#address): string {
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    const user = {
      ...(credential === undefined
        ? {}
        : {
            'client-certificate-data': base64(credential.certificate),
            'client-key-data': base64(credential.key),
          }),
      ...(token === undefined ? {} : { token }),
      ...(tokenFile === undefined ? {} : { tokenFile }),
    }
    const cluster = { server: this.url(address), 'certificate-authority-data': base64(this.ca) }
    return this.#write(
      `${randomUUID()}.kubeconfig`,
      stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'test', cluster }],
        users: [{ name: 'test', user }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
        'current-context': 'test',
      }),
    )
  }

  create(object: KubeInput): Promise<KubeObject> {
    return this.admin.create(object)
  }

  apply(...objects: readonly KubeInput[]): Promise<KubeObject[]> {
    return this.admin.apply(...objects)
  }

  delete(...objects: readonly ObjectReference[]): Promise<void> {
    return this.admin.delete(...objects)
  }

  get(object: ObjectReference): Promise<KubeObject> {
    return this.admin.get(object)
  }

  /** Ends the API server by force, as when its machine dies; everything else goes on. {@link restart} brings it back. */
  async kill(): Promise<void> {
    await this.#components.get('kube-apiserver')?.kill()
  }

  /**
   * Starts the API server again where it was, with the objects that it had. Of changes before that it knows nothing: who
   * wants to watch from an older version on is told 410 Gone.
   */
  async restart(): Promise<void> {
    await this.kill()
    await this.#startServer()
  }

  /** The API server hangs: its connections stay, and nothing answers, until {@link resume}. */
  suspend(): void {
    this.#components.get('kube-apiserver')?.suspend()
  }

  resume(): void {
    this.#components.get('kube-apiserver')?.resume()
  }

  /** Where etcd listens, for who writes past the API server. */
  get etcdSocket(): string {
    return join(this.directory, new URL(ETCD_CLIENTS).host)
  }

  /** The process of a program, for who measures it. */
  pid(name: ProgramName): number | undefined {
    return this.#components.get(name)?.pid
  }

  /** Ends everything by force: nothing of it is needed any more. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.close()
    await Promise.all([...this.#components.values()].map((component) => component.kill()))
    rmSync(this.directory, { recursive: true, force: true })
  }

  get #address(): string {
    return this.addresses[0] ?? '127.0.0.1'
  }

  async #start(): Promise<void> {
    this.#write('ca.crt', this.ca)
    const { certificate, key } = this.certificate({
      name: 'kube-apiserver',
      hosts: [...this.addresses, '127.0.0.1', '::1', 'localhost', 'kubernetes.default.svc'],
    })
    this.#write('server.crt', certificate)
    this.#write('server.key', key)
    this.#write('service-accounts.key', this.#serviceAccountKey.export({ type: 'sec1', format: 'pem' }) as string)
    // The API server tries again until etcd is there.
    this.#run('etcd', ETCD)
    await this.#startServer()
    await this.#startControllers()
  }

  async #startServer(): Promise<void> {
    const server = this.#run('kube-apiserver', serverFlags(this.#options, this.addresses, this.port))
    await server.ready(async () => (await this.admin.text('/readyz')).status === 200)
  }

  async #startControllers(): Promise<void> {
    const { controllers = CONTROLLERS, place } = this.#options
    if (controllers.length === 0) return
    const port = await freePort(place)
    const kubeconfig = this.kubeconfig({
      credential: this.certificate({ name: 'system:kube-controller-manager', groups: ['system:masters'] }),
    })
    const manager = this.#run('kube-controller-manager', controllerFlags(this.#options, { port, kubeconfig }))
    const health = new ClusterClient({ address: '127.0.0.1', port, ca: this.ca, place })
    this.#clients.push(health)
    await manager.ready(async () => (await health.text('/healthz')).status === 200)
  }

  #run(name: ProgramName, chosen: Flags): Component {
    const flags = { ...chosen, ...this.#options.flags?.[name] }
    const { place } = this.#options
    const component = new Component({ name, path: join(PROGRAMS, name), flags, directory: this.directory, place })
    this.#components.set(name, component)
    return component
  }

  #write(name: string, text: string): string {
    const path = join(this.directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
}

/** etcd's sockets, in its directory: nobody else comes by, and they need no port. A URL has no place for a path. */
const [ETCD_CLIENTS, ETCD_PEERS] = ['unix://etcd:1', 'unix://peer:1']

/** Nothing has to outlive the machine, so nothing waits for a disk. */
const ETCD: Flags = {
  'data-dir': 'etcd-data',
  'listen-client-urls': ETCD_CLIENTS,
  'advertise-client-urls': ETCD_CLIENTS,
  'listen-peer-urls': ETCD_PEERS,
  'initial-advertise-peer-urls': ETCD_PEERS,
  'initial-cluster': `default=${ETCD_PEERS}`,
  'unsafe-no-fsync': true,
  'quota-backend-bytes': 4 * 2 ** 30,
  'log-level': 'warn',
}

/** In the namespaces of a test /run is its own, and goes with them: also when a test is killed, nothing stays behind. */
function memory(): string {
  try {
    accessSync('/run', constants.W_OK)
    return '/run'
  } catch {
    return tmpdir()
  }
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

function serverFlags(
  { serviceCIDRs = SERVICE_CIDRS }: ControlPlaneOptions,
  addresses: readonly string[],
  port: number,
): Flags {
  const [address = ''] = addresses
  return {
    'etcd-servers': ETCD_CLIENTS,
    'bind-address': addresses.length === 1 ? address : '::',
    'secure-port': port,
    'advertise-address': address,
    // An address that every host has is none to publish as the endpoint of the Service `kubernetes`.
    'endpoint-reconciler-type': isLoopback(address) ? 'none' : 'lease',
    'service-cluster-ip-range': serviceCIDRs.join(','),
    'authorization-mode': 'Node,RBAC',
    'client-ca-file': 'ca.crt',
    'tls-cert-file': 'server.crt',
    'tls-private-key-file': 'server.key',
    'service-account-issuer': ISSUER,
    'service-account-key-file': 'service-accounts.key',
    'service-account-signing-key-file': 'service-accounts.key',
    // A Pod would not be let in before its namespace has an account, which is a controller's to make.
    'disable-admission-plugins': 'ServiceAccount',
    'allow-privileged': true,
    // One busy test is no reason to make it wait.
    'enable-priority-and-fairness': false,
    'max-requests-inflight': 3000,
    'max-mutating-requests-inflight': 1000,
    profiling: false,
  }
}

function controllerFlags(
  options: ControlPlaneOptions,
  { port, kubeconfig }: { port: number; kubeconfig: string },
): Flags {
  const { controllers = CONTROLLERS, nodeNetworks = [], serviceCIDRs = SERVICE_CIDRS } = options
  const all = nodeNetworks.length === 0 ? controllers : [...controllers, NODE_IPAM]
  return {
    kubeconfig,
    controllers: all.join(','),
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'tls-cert-file': 'server.crt',
    'tls-private-key-file': 'server.key',
    'root-ca-file': 'ca.crt',
    'authentication-skip-lookup': true,
    'leader-elect': false,
    'service-cluster-ip-range': serviceCIDRs.join(','),
    'kube-api-qps': 1000,
    'kube-api-burst': 2000,
    ...networkFlags(nodeNetworks),
    profiling: false,
  }
}

/** The controller manager has a flag of its own for the mask of the only network of a family. */
function networkFlags(networks: readonly NodeNetwork[]): Flags {
  if (networks.length === 0) return { 'allocate-node-cidrs': false }
  const masks = networks.map(({ cidr, nodePrefix }) => {
    const family = familyOf(cidr.split('/')[0] ?? '')
    if (family === undefined) throw new NetloomError('invalid', `${cidr} is no network`)
    return [`node-cidr-mask-size-${family.name}`, nodePrefix] as const
  })
  return {
    'allocate-node-cidrs': true,
    'cluster-cidr': networks.map(({ cidr }) => cidr).join(','),
    ...Object.fromEntries(masks),
  }
}

/** A namespace of a test's own begins without one. */
function raiseLoopback(place?: Place): void {
  const raise = (): void => {
    if (networkInterfaces()['lo'] !== undefined) return
    const { status, stderr } = spawnSync('ip', ['link', 'set', 'lo', 'up'], { encoding: 'utf8' })
    if (status !== 0) throw new NetloomError('unavailable', `loopback: ${stderr}`)
  }
  if (place === undefined) raise()
  else place.run(raise)
}

/** A port that nobody has; nobody takes it either before it is used, in a namespace of the test's own. */
function freePort(place?: Place): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.once('listening', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0))
    })
    const listen = (): void => void server.listen({ port: 0 })
    if (place === undefined) listen()
    else place.run(listen)
  })
}
