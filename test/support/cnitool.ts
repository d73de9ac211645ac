import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { asError } from '../../src/base/errors.js'
import { PLUGIN } from '../../src/cli/demo/installation.js'
import { namespacePath } from '../../src/kernel/netns.js'
import { MOUNT, mount } from '../../src/kernel/libc.js'
import { type Place } from '../../src/cli/demo/place.js'
import { type CniVersion } from '../../src/cni/version.js'
import { ROOT } from './cni-exec.js'
import { type TestContext } from './node.js'

/** The CNI project's own client: networks and plugins are found and called as a runtime does, by CNI's own library. */

const TOOL = join(ROOT, 'dist/tools/cnitool')

/** Why the client is not there; false where it is. */
export function withoutCnitool(): string | false {
  const script = join(ROOT, 'scripts/build-cnitool.mjs')
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  if (status === 0) return false
  if (status === 3) return `no cnitool: ${stderr.trim()}`
  throw new Error(`build-cnitool.mjs: ${stderr}`)
}

/** Where Debian puts the CNI project's plugins. */
export const REFERENCE_PLUGINS = '/usr/lib/cni'

/**
 * CNI's library and its plugins remember what they did below /var/lib/cni. This process gets a /var/lib of its own,
 * in memory; it has to be in a mount namespace of its own.
 */
export const hideVarLib = (): void => mount('tmpfs', '/var/lib', 'tmpfs', MOUNT.NOSUID | MOUNT.NODEV)

export interface Conflist {
  readonly cniVersion: CniVersion
  readonly name: string
  readonly plugins: readonly object[]
}

export interface Call {
  /** CAP_ARGS: what a runtime has for plugins that have the capability. */
  readonly capabilities?: Readonly<Record<string, unknown>>
  /** CNI_ARGS. */
  readonly args?: Readonly<Record<string, string>>
  readonly ifname?: string
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export type Verb = 'add' | 'check' | 'del' | 'gc' | 'status'

/** A runtime takes this long at most. */
const TIMEOUT_MS = 60_000

/** The client on one node, with configurations of its own and netloom beside the reference plugins. */
export class CniTool {
  readonly #folder = mkdtempSync(join(tmpdir(), 'netloom-cnitool-'))
  readonly #networks = join(this.#folder, 'net.d')
  readonly #plugins = join(this.#folder, 'bin')
  readonly #node: Place

  constructor(t: TestContext, node: Place) {
    this.#node = node
    t.teardown(() => rmSync(this.#folder, { recursive: true, force: true }))
    for (const folder of [this.#networks, this.#plugins]) mkdirSync(folder)
    symlinkSync(PLUGIN, join(this.#plugins, 'netloom'))
  }

  /** Writes a network's configuration; one of the same name is replaced. */
  configure(list: Conflist): void {
    writeFileSync(join(this.#networks, `${list.name}.conflist`), JSON.stringify(list))
  }

  /** Calls the client for a pod, by the name of its namespace. */
  call(verb: Verb, network: string, pod: string, { capabilities, args, ifname }: Call = {}): Promise<Ended> {
    const env = {
      PATH: process.env['PATH'],
      NETCONFPATH: this.#networks,
      CNI_PATH: [this.#plugins, REFERENCE_PLUGINS].join(delimiter),
      ...(capabilities === undefined ? {} : { CAP_ARGS: JSON.stringify(capabilities) }),
      ...(args === undefined ? {} : { CNI_ARGS: pairs(args) }),
      ...(ifname === undefined ? {} : { CNI_IFNAME: ifname }),
    }
    const parameters = [verb, network, namespacePath(pod)]
    return new Promise((resolve, reject) => {
      this.#node.run(() =>
        execFile(TOOL, parameters, { env, timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
          if (error === null) resolve({ code: 0, stdout, stderr })
          else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr })
          else reject(asError(error))
        }),
      )
    })
  }

  /** Calls the client, which has to succeed; answers what it printed. */
  async do(verb: Verb, network: string, pod: string, call: Call = {}): Promise<string> {
    const { code, stdout, stderr } = await this.call(verb, network, pod, call)
    if (code !== 0) throw new Error(`cnitool ${verb} ${network} ${pod}: ${stderr}${stdout}`)
    return stdout
  }
}

const pairs = (args: Readonly<Record<string, string>>): string =>
  Object.entries(args)
    .map((pair) => pair.join('='))
    .join(';')
