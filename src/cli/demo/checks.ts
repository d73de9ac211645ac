import { mapBounded } from './bounded.js'
import { ask } from './client.js'
import { judgeDirect, judgeService, type Verdict } from './judge.js'
import { type Outcome } from './outcome.js'
import { type Pair, pairs, type RunningPod } from './pairs.js'
import { type Place } from './place.js'
import {
  type Cell,
  type DirectReport,
  type EndpointReport,
  type HairpinReport,
  type ReachabilityReport,
  type ServiceReport,
} from './report.js'
import { spread } from './statistics.js'
import { type Target } from './targets.js'

/** Real packets between pods and Services, and what came of them. */

export interface LivePod extends RunningPod {
  readonly place: Place
}

export interface Found<R> {
  readonly report: R
  readonly failures: readonly string[]
}

/** Attempts in flight: enough to keep two processors busy, few enough that waiting in line does not count as slow. */
const IN_FLIGHT = 48

/**
 * Milliseconds after which a check stops asking; what was not asked then counts as failed. So many in any case, and
 * some for each attempt: a large demo takes its time, and one where nothing answers must end as well.
 */
const LEAST_MS = 60_000
const MS_PER_ATTEMPT = 3

export const targetText = ({ service, port, protocol }: Target): string => `${service}:${port}/${protocol}`

/** Makes all attempts, bounded in how many are in flight and in how long they take together. */
function makeAll<T>(attempts: readonly T[], one: (attempt: T) => Promise<Outcome>): Promise<Outcome[]> {
  const deadline = performance.now() + LEAST_MS + attempts.length * MS_PER_ATTEMPT
  return mapBounded(attempts, IN_FLIGHT, (attempt) =>
    performance.now() > deadline ? Promise.resolve<Outcome>({ failure: 'not tried', ms: 0 }) : one(attempt),
  )
}

interface Attempt {
  readonly client: LivePod
  readonly target: Target
  readonly address: string
}

const askService = ({ client, target, address }: Attempt): Promise<Outcome> =>
  ask(client.place, target.protocol, address, target.port)

const attemptText = ({ client, target, address }: Attempt): string =>
  `${client.key} to ${targetText(target)} (${address})`

/** Every pod asks every port of every Service, in each family. */
export async function checkReachability(
  pods: readonly LivePod[],
  targets: readonly Target[],
): Promise<Found<ReachabilityReport>> {
  const attempts = pods.flatMap((client) =>
    targets.flatMap((target) => target.addresses.map(({ address }): Attempt => ({ client, target, address }))),
  )
  const outcomes = await makeAll(attempts, askService)
  const verdicts = outcomes.map((outcome, i) => judgeService((attempts[i] as Attempt).target, outcome))
  const cells = new Map<string, Cell>()
  attempts.forEach(({ client, target }, i) => {
    const id = `${client.key} ${targetText(target)}`
    if (cells.get(id) !== 'failed') cells.set(id, verdicts[i]?.cell ?? 'failed')
  })
  const count = (cell: Cell): number => verdicts.filter((verdict) => verdict.cell === cell).length
  return {
    report: {
      attempts: attempts.length,
      reached: count('ok'),
      refused: count('refused'),
      failed: count('failed'),
      columns: targets.map(targetText),
      rows: pods.map(({ key }) => ({
        pod: key,
        cells: targets.map((target) => cells.get(`${key} ${targetText(target)}`) ?? 'failed'),
      })),
    },
    failures: problems(verdicts, (i) => attemptText(attempts[i] as Attempt)),
  }
}

const problems = (verdicts: readonly Verdict[], text: (position: number) => string): string[] =>
  verdicts.flatMap(({ problem }, i) => (problem === undefined ? [] : [`${text(i)}: ${problem}`]))

/** Attempts for a Service port: at least so many in all, and so many for each endpoint. */
const LEAST_ATTEMPTS = 60
const ATTEMPTS_PER_ENDPOINT = 20

/** Every port of every Service is asked many times, by all pods in turn, and answers are counted by endpoint. */
export async function checkShares(
  pods: readonly LivePod[],
  targets: readonly Target[],
): Promise<Found<ServiceReport[]>> {
  const attempts = targets.flatMap((target) => manyAttempts(pods, target))
  const outcomes = await makeAll(attempts, askService)
  const byTarget = new Map(targets.map((target) => [target, [] as Outcome[]]))
  attempts.forEach(({ target }, i) => byTarget.get(target)?.push(outcomes[i] as Outcome))
  const found = [...byTarget].map(([target, own]) => judgeShares(target, own))
  return { report: found.map(({ report }) => report), failures: found.flatMap(({ failures }) => failures) }
}

function manyAttempts(pods: readonly LivePod[], target: Target): Attempt[] {
  if (target.unprobed !== undefined || target.endpoints.length === 0 || target.addresses.length === 0) return []
  const count = Math.max(LEAST_ATTEMPTS, ATTEMPTS_PER_ENDPOINT * target.endpoints.length)
  return Array.from({ length: pods.length === 0 ? 0 : count }, (_, i): Attempt => {
    // All pods with the first family, then all with the second, and so on.
    const round = Math.floor(i / pods.length)
    const address = target.addresses[round % target.addresses.length]?.address ?? ''
    return { client: pods[i % pods.length] as LivePod, target, address }
  })
}

/** Answers of one port of a Service; failed attempts of one kind make one line. */
export function judgeShares(target: Target, outcomes: readonly Outcome[]): Found<ServiceReport> {
  const verdicts = outcomes.map((outcome) => judgeService(target, outcome))
  const answered = outcomes.flatMap(({ answer }, i) => (verdicts[i]?.cell === 'ok' && answer ? [answer] : []))
  const endpoints = target.endpoints.map(({ pod, port }): EndpointReport => {
    const answers = answered.filter((answer) => answer.pod === pod && answer.port === port).length
    return { pod, port, answers, share: answered.length === 0 ? 0 : answers / answered.length }
  })
  const judged = answered.length > 0 && !target.affinity
  const { evenness, probability } = spread(endpoints.map(({ answers }) => answers))
  const text = targetText(target)
  const silent = judged ? endpoints.filter(({ answers }) => answers === 0) : []
  const failures = [
    ...grouped(verdicts, outcomes.length).map((line) => `${text}: ${line}`),
    ...silent.map(({ pod }) => `${text}: ${pod} gave none of ${answered.length} answers`),
    ...(judged && silent.length === 0 && evenness === 'uneven' ? [`${text}: answers are spread unevenly`] : []),
  ]
  const report: ServiceReport = {
    service: target.service,
    type: target.type,
    portName: target.portName,
    port: target.port,
    protocol: target.protocol,
    clusterIPs: target.addresses.map(({ address }) => address),
    endpoints,
    answers: answered.length,
    evenness: judged ? evenness : null,
    probability: judged ? probability : null,
    unprobed: target.unprobed ?? null,
  }
  return { report, failures }
}

function grouped(verdicts: readonly Verdict[], total: number): string[] {
  const counts = new Map<string, number>()
  for (const { problem } of verdicts) if (problem !== undefined) counts.set(problem, (counts.get(problem) ?? 0) + 1)
  return [...counts].map(([problem, count]) => `${count} of ${total} connections: ${problem}`)
}

/** Pods ask pods by their own addresses; the servers tell whom they saw. */
export async function checkDirect(pods: readonly LivePod[]): Promise<Found<DirectReport>> {
  const attempts = pairs(pods)
  const outcomes = await makeAll(attempts, ({ client, listener, to }) =>
    ask(client.place, listener.protocol, to, listener.port),
  )
  const verdicts = outcomes.map((outcome, i) => {
    const { server, from } = attempts[i] as Pair<LivePod>
    return judgeDirect({ pod: server.key, client: from }, outcome)
  })
  const good = attempts.filter((_, i) => verdicts[i]?.cell === 'ok')
  const sameNode = good.filter(({ client, server }) => client.node === server.node).length
  const ipv4 = good.filter(({ family }) => family === 'ipv4').length
  return {
    report: {
      attempts: attempts.length,
      unchanged: good.length,
      sameNode,
      acrossNodes: good.length - sameNode,
      ipv4,
      ipv6: good.length - ipv4,
    },
    failures: problems(verdicts, (i) => {
      const { client, server, to } = attempts[i] as Pair<LivePod>
      return `${client.key} to ${server.key} (${to})`
    }),
  }
}

/** Endpoints of one Service port that try to reach themselves. */
const HAIRPINS_PER_TARGET = 3

/** Pods of a Service ask it until they answer themselves: packets that leave a pod and come back into it. */
export async function checkHairpin(
  pods: readonly LivePod[],
  targets: readonly Target[],
): Promise<Found<HairpinReport>> {
  const byKey = new Map(pods.map((pod) => [pod.key, pod]))
  const attempts = targets
    .filter(({ affinity }) => !affinity)
    .flatMap((target) =>
      target.endpoints.slice(0, HAIRPINS_PER_TARGET).flatMap(({ pod }) => {
        const client = byKey.get(pod)
        if (client === undefined || client.hostNetwork) return []
        return target.addresses.map(({ address }): Attempt => ({ client, target, address }))
      }),
    )
  const outcomes = await makeAll(attempts, askSelf)
  const missed = attempts.filter((_, i) => outcomes[i]?.answer === undefined)
  return {
    report: { attempts: attempts.length, reached: attempts.length - missed.length },
    failures: missed.map((attempt) => `${attemptText(attempt)}: never reached itself`),
  }
}

/** How long a pod tries: chance needs milliseconds, packets that are lost on the way back need this bound. */
const HAIRPIN_MS = 3000

async function askSelf(attempt: Attempt): Promise<Outcome> {
  const { client, target } = attempt
  const deadline = performance.now() + HAIRPIN_MS
  let last: Outcome = { failure: 'not tried', ms: 0 }
  for (let i = 0; i < ATTEMPTS_PER_ENDPOINT * target.endpoints.length && performance.now() < deadline; i++) {
    last = await askService(attempt)
    if (last.answer === undefined || last.answer.pod === client.key) return last
  }
  return { failure: 'bad answer', ms: last.ms }
}
