import { type Cell, type Report, type ServiceReport } from './report.js'
import { table } from './table.js'

/** A report for people. */

export interface RenderOptions {
  readonly colour: boolean
}

type Paint = (text: string) => string

interface Paints {
  readonly title: Paint
  readonly good: Paint
  readonly bad: Paint
  readonly faint: Paint
}

const sgr =
  (code: number): Paint =>
  (text) =>
    `\x1b[${code}m${text}\x1b[0m`
const plain: Paint = (text) => text

const COLOURED: Paints = { title: sgr(1), good: sgr(32), bad: sgr(31), faint: sgr(2) }
const PLAIN: Paints = { title: plain, good: plain, bad: plain, faint: plain }

export function render(report: Report, { colour }: RenderOptions): string {
  const paints = colour ? COLOURED : PLAIN
  const sections = [
    nodes(report),
    pods(report),
    services(report),
    reachability(report, paints),
    proofs(report),
    phases(report),
    list('Notes', report.notes),
    failures(report, paints),
  ]
  const texts = sections
    .filter(({ lines }) => lines.length > 0)
    .map(({ title, lines }) => `${paints.title(title)}\n${lines.map((line) => `  ${line}`.trimEnd()).join('\n')}\n`)
  return `${texts.join('\n')}\n${verdict(report, paints)}\n`
}

interface Section {
  readonly title: string
  readonly lines: readonly string[]
}

const list = (title: string, lines: readonly string[]): Section => ({ title, lines })

function nodes({ nodes }: Report): Section {
  const rows = nodes.map(({ name, addresses, subnets, routes, pods }) => [
    name,
    addresses.join(' '),
    subnets.join(' '),
    String(pods),
    routes
      .map(({ destination, gateway }) => `${destination} via ${gateway}`)
      .sort()
      .join('\n'),
  ])
  return { title: 'Nodes', lines: table(['NODE', 'ADDRESSES', 'POD SUBNETS', 'PODS', 'ROUTES'], rows) }
}

function pods({ pods }: Report): Section {
  const rows = pods.map(({ pod, node, addresses, ports, hostNetwork }) => [
    pod,
    node,
    addresses.join(' ') + (hostNetwork ? ' (its node)' : ''),
    ports.length === 0 ? '-' : ports.join(', '),
  ])
  return { title: 'Pods', lines: table(['POD', 'NODE', 'ADDRESSES', 'LISTENS ON'], rows) }
}

const percent = (share: number): string => `${(share * 100).toFixed(0)}%`

/** Endpoints of a Service that are listed one by one; of larger ones the smallest and the largest share. */
const MOST_ENDPOINTS = 10

function endpointLines({ endpoints }: ServiceReport): string[] {
  if (endpoints.length <= MOST_ENDPOINTS) return endpoints.map(({ pod, share }) => `${percent(share)} ${pod}`)
  const shares = endpoints.map(({ share }) => share)
  return [`${endpoints.length} endpoints, ${percent(Math.min(...shares))} to ${percent(Math.max(...shares))} each`]
}

function shareLines(service: ServiceReport): string[] {
  if (service.unprobed !== null) return [service.unprobed]
  return service.endpoints.length === 0 ? ['no endpoints'] : endpointLines(service)
}

const frontends = ({ clusterIPs, port, protocol }: ServiceReport): string =>
  clusterIPs.length === 0
    ? '-'
    : clusterIPs.map((ip) => `${ip.includes(':') ? `[${ip}]` : ip}:${port}/${protocol}`).join('\n')

const spreadText = ({ evenness, endpoints, answers }: ServiceReport): string =>
  answers === 0 ? '-' : evenness === null ? 'clients stay' : endpoints.length === 1 ? 'one endpoint' : evenness

function services({ services }: Report): Section {
  const rows = services.map((service) => [
    service.service,
    frontends(service),
    service.answers === 0 ? '-' : String(service.answers),
    spreadText(service),
    shareLines(service).join('\n'),
  ])
  return { title: 'Services', lines: table(['SERVICE', 'CLUSTER IP', 'ANSWERS', 'SPREAD', 'SHARES'], rows) }
}

/** Columns that fit beside a pod's name on a usual terminal. */
const COLUMNS_AT_ONCE = 12
/** With more pods than this the matrix is longer than anybody reads; the failures are listed anyway. */
const MOST_ROWS = 40

const CELLS: Readonly<Record<Cell, { readonly text: string; readonly paint: keyof Paints }>> = {
  ok: { text: 'ok', paint: 'good' },
  refused: { text: '-', paint: 'faint' },
  failed: { text: 'FAIL', paint: 'bad' },
}

function reachability({ reachability: found }: Report, paints: Paints): Section {
  const { attempts, reached, refused, failed, columns, rows } = found
  const total = [
    `${attempts} connections by ClusterIP: ${reached} reached`,
    ...(refused > 0 ? [`${refused} refused (no endpoints)`] : []),
    ...(failed > 0 ? [paints.bad(`${failed} failed`)] : []),
  ].join(', ')
  const title = 'Reachability (every pod, every Service)'
  if (rows.length === 0 || columns.length === 0) return { title, lines: [] }
  if (rows.length > MOST_ROWS) return { title, lines: [`${rows.length} pods x ${columns.length} Service ports`, total] }
  const legend = columns.map((column, i) => [`${i + 1}`, column])
  const starts = Array.from({ length: Math.ceil(columns.length / COLUMNS_AT_ONCE) }, (_, i) => i * COLUMNS_AT_ONCE)
  const blocks = starts.flatMap((start) => {
    const numbers = columns.slice(start, start + COLUMNS_AT_ONCE).map((_, i) => `${start + i + 1}`)
    const body = rows.map(({ pod, cells }) => [
      pod,
      ...cells.slice(start, start + COLUMNS_AT_ONCE).map((cell) => paints[CELLS[cell].paint](CELLS[cell].text)),
    ])
    return [...table(['POD', ...numbers], body), '']
  })
  return { title, lines: [...table(['NO', 'SERVICE'], legend), '', ...blocks, total] }
}

function proofs({ direct, hairpin }: Report): Section {
  const { attempts, unchanged, sameNode, acrossNodes, ipv4, ipv6 } = direct
  const seen = `${unchanged} of ${attempts} connections arrived with the client's own address`
  const where = `${sameNode} on one node, ${acrossNodes} across nodes; ${ipv4} IPv4, ${ipv6} IPv6`
  const itself = `${hairpin.reached} of ${hairpin.attempts} times a pod reached itself through its own Service`
  return {
    title: 'No NAT between pods',
    lines: [...(attempts === 0 ? [] : [`${seen} (${where})`]), ...(hairpin.attempts === 0 ? [] : [itself])],
  }
}

function phases({ phases }: Report): Section {
  const total = phases.reduce((sum, { ms }) => sum + ms, 0)
  const rows = [...phases, { name: 'in all', ms: total }].map(({ name, ms }) => [name, `${(ms / 1000).toFixed(2)} s`])
  return { title: 'Time', lines: table([], rows) }
}

/** Failures shown; the rest is in `--json`. */
const MOST_FAILURES = 50

function failures({ failures }: Report, { bad }: Paints): Section {
  const more = failures.length - MOST_FAILURES
  const shown = failures.slice(0, MOST_FAILURES).map(bad)
  return { title: 'Failures', lines: more > 0 ? [...shown, `and ${more} more (--json shows all)`] : shown }
}

function verdict({ ok, pods, nodes, services, reachability, failures }: Report, { good, bad }: Paints): string {
  const size = `${pods.length} pods on ${nodes.length} nodes, ${services.length} Service ports`
  if (!ok) return bad(`FAILED: ${failures.length} things are not as they should be (${size})`)
  return good(`OK: ${size}, ${reachability.reached} of ${reachability.attempts - reachability.refused} rows reachable`)
}
