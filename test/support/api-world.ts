import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { type Test } from 'tap'
import { textCredentials } from '../../src/kube/api/credentials.js'
import { HttpApiClient } from '../../src/kube/api/http-client.js'
import { type Timing } from '../../src/kube/api/reflector.js'
import { ApiSource } from '../../src/kube/api/source.js'
import { type Change } from '../../src/kube/store.js'
import { FakeApi } from './fake-api.js'

/** Short waits, and nothing that happens by itself. */
const PROMPT: Timing = {
  pageSize: 2,
  silenceMs: 60_000,
  watchSeconds: 300,
  verifyMs: 3_600_000,
  shortestWatchMs: 0,
  confirmMs: 5,
  firstBackoffMs: 5,
  mostBackoffMs: 20,
}

/** A log line as pino writes it. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [field: string]: unknown
}

/** A source over a server that a test bends, and what it has told so far. */
export class ApiWorld {
  readonly api: FakeApi
  readonly source: ApiSource
  readonly batches: string[][] = []
  readonly logged: LogLine[] = []

  static async make(t: Test, timing: Partial<Timing> = {}): Promise<ApiWorld> {
    const world = new ApiWorld(await FakeApi.start(), timing)
    t.teardown(() => world.close())
    return world
  }

  private constructor(api: FakeApi, timing: Partial<Timing>) {
    this.api = api
    const access = {
      server: new URL(api.url),
      authority: undefined,
      serverName: undefined,
      insecure: false,
      credentials: textCredentials(undefined, undefined),
    }
    const client = new HttpApiClient(access, { userAgent: 'netloom/test' })
    const log = pino({ level: 'debug' }, { write: (line: string) => this.logged.push(JSON.parse(line) as LogLine) })
    const options = { client, server: client.server, node: 'n1', claimNamespace: 'kube-system', log }
    this.source = new ApiSource({ ...options, timing: { ...PROMPT, ...timing }, random: () => 0.5 })
    this.source.subscribe((changes) => this.batches.push(changes.map(textOf)))
  }

  /** `what message` of each problem. */
  problems(): string[] {
    return this.source.problems().map(({ file, message }) => `${file}: ${message}`)
  }

  /** Texts of the log from a level on (40 warns). */
  warnings(): string[] {
    return this.logged.filter(({ level }) => level >= 40).map(({ msg }) => msg)
  }

  async close(): Promise<void> {
    await this.source.close()
    await this.api.close().catch(() => undefined)
  }
}

export const textOf = ({ kind, key, before, after }: Change): string =>
  `${before === undefined ? '+' : after === undefined ? '-' : '~'} ${kind} ${key}`

/** Waits until something holds; says what it waited for where it never does. */
export async function until(condition: () => boolean, what = String(condition)): Promise<void> {
  const patience = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > patience) throw new Error(`never came true: ${what}`)
    await sleep(2)
  }
}

/** Long enough for something to arrive, where nothing is to happen. */
export const settle = (): Promise<void> => sleep(80)
