import { type Family } from '../base/family.js'
import { familyOf, formatCidr } from '../base/ip.js'
import { FILTER_PRIORITY } from '../base/names.js'
import { chainText } from '../codec/nft/chain.js'
import { elementText } from '../codec/nft/element.js'
import { ruleText } from '../codec/nft/rule.js'
import { setKind, setText } from '../codec/nft/set.js'
import { type Table, tableText } from '../codec/nft/table.js'
import { TYPE } from '../codec/nft/types.js'
import { NTF, NUD, RTN } from '../codec/rtnl/constants.js'
import { type FilterPriority, handleText } from '../codec/rtnl/filter.js'
import { type LinkChanges, type LinkSpec, type NewLink } from '../codec/rtnl/link.js'
import { type BridgeOptions, type BridgePort, type VxlanOptions } from '../codec/rtnl/link-kind.js'
import { type NeighbourSpec } from '../codec/rtnl/neighbour.js'
import { type RouteSpec } from '../codec/rtnl/route.js'
import { type PacketSource } from '../codec/rtnl/u32.js'
import { type Op, type OnDevice, type OpOf } from './op.js'

/** Operations as lines that a person could paste: this is what logs, golden files and errors show. */

const words = (...parts: (string | undefined)[]): string => parts.filter((part) => part !== undefined).join(' ')
const option = (name: string, value: string | number | undefined): string | undefined =>
  value === undefined ? undefined : `${name} ${value}`
const onOff = (value: boolean | undefined): string | undefined =>
  value === undefined ? undefined : value ? 'on' : 'off'

/** How `ip` takes an index in the place of a name. */
const indexText = (index: number | undefined): string | undefined => (index === undefined ? undefined : `if${index}`)
const flag = (name: string, value: boolean | undefined): string | undefined => (value === true ? name : undefined)
const number = (value: boolean | undefined): number | undefined => (value === undefined ? undefined : Number(value))
/** A namespace as the process that applies the operation knows it. */
const netnsText = (fd: number | undefined): string | undefined => (fd === undefined ? undefined : `/proc/self/fd/${fd}`)

const newLinkText = (link: NewLink): string =>
  words(
    option('name', link.name),
    option('address', link.mac),
    option('mtu', link.mtu),
    option('group', link.group),
    option('numtxqueues', link.numTxQueues),
    option('numrxqueues', link.numRxQueues),
    option('netns', netnsText(link.netnsFd)),
    link.up === undefined ? undefined : link.up ? 'up' : 'down',
  )

const bridgeText = (bridge: BridgeOptions): string =>
  words(
    option('forward_delay', bridge.forwardDelay),
    option('ageing_time', bridge.ageingTime),
    option('stp_state', number(bridge.stp)),
    option('vlan_filtering', number(bridge.vlanFiltering)),
    option('mcast_snooping', number(bridge.mcastSnooping)),
    option('nf_call_iptables', number(bridge.nfCallIptables)),
    option('nf_call_ip6tables', number(bridge.nfCallIp6tables)),
    option('nf_call_arptables', number(bridge.nfCallArptables)),
  )

const vxlanText = (vxlan: VxlanOptions): string =>
  words(
    option('id', vxlan.id),
    option('group', vxlan.group),
    option('local', vxlan.local),
    option('dev', indexText(vxlan.link)),
    vxlan.learning === undefined ? undefined : vxlan.learning ? 'learning' : 'nolearning',
    option('dstport', vxlan.port),
    vxlan.udpChecksum === undefined ? undefined : vxlan.udpChecksum ? 'udpcsum' : 'noudpcsum',
  )

function kindText(link: LinkSpec): string | undefined {
  switch (link.kind) {
    case 'dummy':
    case 'ifb':
      return undefined
    case 'bridge':
      return link.bridge === undefined ? undefined : bridgeText(link.bridge)
    case 'veth':
      return `peer ${newLinkText(link.peer)}`
    case 'vxlan':
      return vxlanText(link.vxlan)
  }
}

const linkText = (link: LinkSpec): string =>
  words('ip link add', newLinkText(link), option('master', indexText(link.master)), 'type', link.kind, kindText(link))

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const ADDR_GEN_MODES = ['eui64', 'none', 'stable_secret', 'random']

const linkChangesText = (changes: LinkChanges): string =>
  words(
    changes.up === undefined ? undefined : changes.up ? 'up' : 'down',
    option('mtu', changes.mtu),
    option('address', changes.mac),
    changes.master === 0 ? 'nomaster' : option('master', indexText(changes.master)),
    option('group', changes.group),
    option('name', changes.name),
    option('netns', netnsText(changes.netnsFd)),
    option('alias', changes.alias === undefined ? undefined : quoted(changes.alias)),
    changes.addrGenMode === undefined ? undefined : option('addrgenmode', ADDR_GEN_MODES[changes.addrGenMode]),
  )

/** `ip` does not know what the kernel takes for the settings of a family. */
function linkSetText(name: string, { arpNotify, ...changes }: LinkChanges): string {
  const text = linkChangesText(changes)
  return [
    ...(text === '' && arpNotify !== undefined ? [] : [`ip link set dev ${name} ${text}`]),
    ...(arpNotify === undefined
      ? []
      : [`sysctl -w ${sysctlText(`net/ipv4/conf/${name}/arp_notify`)}=${Number(arpNotify)}`]),
  ].join(' && ')
}

const portText = (port: BridgePort): string =>
  words(
    option('isolated', onOff(port.isolated)),
    option('hairpin', onOff(port.hairpin)),
    option('guard', onOff(port.bpduGuard)),
    option('learning', onOff(port.learning)),
    option('flood', onOff(port.unicastFlood)),
    option('mcast_flood', onOff(port.mcastFlood)),
    option('bcast_flood', onOff(port.bcastFlood)),
    option('neigh_suppress', onOff(port.neighSuppress)),
  )

const routeText = ({ destination, gateway, device, protocol, ...route }: RouteSpec & { device?: string }): string =>
  words(
    route.type === undefined ? undefined : ROUTE_TYPES.get(route.type),
    formatCidr(destination),
    option('via', gateway === undefined ? undefined : viaText(destination.family, gateway)),
    option('dev', device ?? indexText(route.index)),
    option('proto', protocol),
    option('scope', route.scope),
    option('src', route.source),
    option('metric', route.priority),
    option('table', route.table),
    option('mtu', route.mtu),
    option('advmss', route.advmss),
    flag('onlink', route.onlink),
  )

/** `unicast` goes without saying. */
const ROUTE_TYPES = new Map(
  Object.entries(RTN)
    .filter(([, type]) => type !== RTN.UNICAST && type !== RTN.UNSPEC)
    .map(([name, type]) => [type as number, name.toLowerCase()]),
)

/** A router of the other family is told with its family. */
const viaText = (family: Family, gateway: string): string => {
  const other = familyOf(gateway)
  return other === undefined || other === family ? gateway : `${other.sysctl === 'ipv6' ? 'inet6' : 'inet'} ${gateway}`
}

const inTable = (table: Table, name: string): string => `${tableText(table)} ${name}`
/** In quotes, since a shell would end the command at the semicolon. */
const braces = (declaration: string): string => (declaration === '' ? '' : ` '{ ${declaration} }'`)

const elementsText = (verb: string, { table, set, elements }: OpOf<'elements.add' | 'elements.delete'>): string =>
  `nft ${verb} element ${inTable(table, set.name)} { ${elements.map((element) => elementText(set, element)).join(', ')} }`

const addressText = (verb: string, { address }: OpOf<'address.add' | 'address.delete'>): string =>
  words(
    'ip address',
    verb,
    formatCidr(address),
    option('dev', address.device),
    option('scope', address.scope),
    flag('nodad', address.noDad),
    flag('noprefixroute', address.noPrefixRoute),
  )

const NUD_NAMES = new Map(Object.entries(NUD).map(([name, state]) => [state as number, name.toLowerCase()]))

const neighbourText = ({ address, device, mac, state, flags, protocol }: OnDevice<NeighbourSpec>): string =>
  words(
    `${address} dev ${device} lladdr ${mac}`,
    option('nud', NUD_NAMES.get(state ?? NUD.PERMANENT) ?? state),
    flag('router', ((flags ?? 0) & NTF.ROUTER) !== 0),
    option('proto', protocol),
  )

/** sysctl(8) swaps the two, so that a link's name may hold dots. */
const sysctlText = (path: string): string => path.replace(/[./]/g, (mark) => (mark === '/' ? '.' : '/'))

/** Of flows that nobody translated the answers come from where the client sends to. */
function flowsText({ family, protocol, port, address, target }: OpOf<'flows.delete'>): string {
  return words(
    `conntrack -D -f ${family.name} -p ${TYPE.inet_proto.text(protocol)}`,
    option('--orig-dst', address),
    option('--orig-port-dst', port),
    option('--reply-src', target?.address ?? address),
    option('--reply-port-src', target?.port ?? port),
  )
}

const TC_PROTOCOL = { ipv4: 'ip', ipv6: 'ipv6' } as const

const filterText = ({ device, family, priority }: OnDevice<FilterPriority>): string =>
  `dev ${device} ingress protocol ${TC_PROTOCOL[family.name]} pref ${priority}`

/** Everything is a match as well: of no bits. */
const sourceText = (family: Family, { mac, address, protocol }: PacketSource = {}): string =>
  words(
    protocol === undefined ? undefined : `match ${family.nft} protocol ${protocol} 0xff`,
    option(`match ${family.nft} src`, address && `${address}/${family.bits}`),
    option('match ether src', mac),
  ) || 'match u32 0 0'

const redirectText = ({ handle, ...op }: Omit<OpOf<'filter.add'>, 'kind'>): string =>
  words(
    `tc filter add ${filterText(op)}`,
    handle && `handle ${handleText(handle)}`,
    'u32',
    handle && `ht ${handle.table.toString(16)}:${handle.bucket.toString(16)}:`,
    sourceText(op.family, op.source),
    `action mirred ${op.to} redirect dev ${op.target}`,
  )

const TEXT: { readonly [K in Op['kind']]: (op: OpOf<K>) => string } = {
  'link.add': ({ link }) => linkText(link),
  'link.set': ({ name, changes }) => linkSetText(name, changes),
  'link.delete': ({ name }) => `ip link delete dev ${name}`,
  'port.set': ({ name, port }) => `bridge link set dev ${name} ${portText(port)}`,
  'vxlan.set': ({ name, vxlan }) => `ip link set dev ${name} type vxlan ${vxlanText(vxlan)}`,
  'address.add': (op) => addressText('replace', op),
  'address.delete': (op) => addressText('delete', op),
  'route.replace': ({ route }) => `ip route replace ${routeText(route)}`,
  'route.delete': ({ route }) => `ip route delete ${routeText(route)}`,
  'neighbour.replace': ({ neighbour }) => `ip neighbour replace ${neighbourText(neighbour)}`,
  'neighbour.delete': ({ neighbour: { address, device } }) => `ip neighbour delete ${address} dev ${device}`,
  'fdb.replace': ({ device, mac }) => `bridge fdb replace ${mac} dev ${device} master static`,
  'vtep.replace': ({ device, mac, remote }) => words(`bridge fdb replace ${mac} dev ${device}`, option('dst', remote)),
  'vtep.delete': ({ device, mac, remote }) => words(`bridge fdb delete ${mac} dev ${device}`, option('dst', remote)),
  'clsact.add': ({ device }) => `tc qdisc add dev ${device} clsact`,
  'clsact.delete': ({ device }) => `tc qdisc delete dev ${device} clsact`,
  'ingress.redirect': ({ device, family, target, source }) =>
    redirectText({ device, family, priority: FILTER_PRIORITY.redirect[family.name], source, to: 'ingress', target }),
  'limit.replace': ({ device, handle, rate, burst, limit }) =>
    `tc qdisc replace dev ${device} root handle ${handle.toString(16)}: ` +
    `tbf rate ${rate * 8}bit burst ${burst}b limit ${limit}b`,
  'limit.delete': ({ device, handle }) => `tc qdisc delete dev ${device} root handle ${handle.toString(16)}:`,
  'filter.add': redirectText,
  'filter.delete': (op) =>
    words(`tc filter delete ${filterText(op)}`, op.handle && `handle ${handleText(op.handle)} u32`),
  'filter.table': (op) =>
    `tc filter add ${filterText(op)} handle ${op.tableId.toString(16)}: u32 divisor ${op.buckets}`,
  'filter.link': (op) =>
    `tc filter add ${filterText(op)} u32 link ${op.tableId.toString(16)}: ` +
    `hashkey mask 0x${op.hash.mask.toString(16).padStart(8, '0')} at ${op.hash.offset} match u32 0 0`,
  'sysctl.set': ({ path, value }) => `sysctl -w ${sysctlText(path)}=${value}`,
  'table.add': ({ table }) => `nft add table ${tableText(table)}`,
  'table.delete': ({ table }) => `nft delete table ${tableText(table)}`,
  'chain.add': ({ table, chain }) =>
    `nft add chain ${inTable(table, chain.name)}${braces(chainText(chain, table.family))}`,
  'chain.delete': ({ table, chain }) => `nft delete chain ${inTable(table, chain)}`,
  'rules.flush': ({ table, chain }) => `nft flush chain ${inTable(table, chain)}`,
  'rule.add': ({ table, chain, rule }) => `nft add rule ${inTable(table, chain)} ${ruleText(rule)}`,
  'set.add': ({ table, set }) => `nft add ${setKind(set)} ${inTable(table, set.name)}${braces(setText(set))}`,
  'set.delete': ({ table, set, map }) => `nft delete ${map === true ? 'map' : 'set'} ${inTable(table, set)}`,
  'set.flush': ({ table, set, map }) => `nft flush ${map === true ? 'map' : 'set'} ${inTable(table, set)}`,
  'elements.add': (op) => elementsText('add', op),
  'elements.delete': (op) => elementsText('delete', op),
  'flows.delete': flowsText,
}

export const opText = <K extends Op['kind']>(op: OpOf<K>): string => (TEXT[op.kind] as (op: OpOf<K>) => string)(op)

/** A whole plan, a line for each operation. */
export const planText = (ops: readonly Op[]): string => ops.map((op) => `${opText(op)}\n`).join('')
