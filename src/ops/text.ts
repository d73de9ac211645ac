import { chainText } from '../codec/nft/chain.js'
import { elementText } from '../codec/nft/element.js'
import { ruleText } from '../codec/nft/rule.js'
import { setKind, setText } from '../codec/nft/set.js'
import { type Table, tableText } from '../codec/nft/table.js'
import { type LinkChanges, type LinkSpec, type NewLink } from '../codec/rtnl/link.js'
import { type RouteSpec } from '../codec/rtnl/route.js'
import { formatCidr } from '../base/ip.js'
import { type Op, type OpOf } from './op.js'

/** Operations as lines that a person could paste: this is what logs, golden files and errors show. */

const words = (...parts: (string | undefined)[]): string => parts.filter((part) => part !== undefined).join(' ')
const option = (name: string, value: string | number | undefined): string | undefined =>
  value === undefined ? undefined : `${name} ${value}`
const onOff = (value: boolean | undefined): string | undefined =>
  value === undefined ? undefined : value ? 'on' : 'off'

const newLinkText = (link: NewLink): string =>
  words(option('name', link.name), option('address', link.mac), option('mtu', link.mtu), option('group', link.group))

function linkText(link: LinkSpec): string {
  const common = words('ip link add', newLinkText(link), option('master', link.master), 'type', link.kind)
  return link.kind === 'veth' ? `${common} peer ${newLinkText(link.peer)}` : common
}

const linkChangesText = (changes: LinkChanges): string =>
  words(
    changes.up === undefined ? undefined : changes.up ? 'up' : 'down',
    option('mtu', changes.mtu),
    option('address', changes.mac),
    option('master', changes.master),
    option('group', changes.group),
  )

const routeText = ({ destination, gateway, device, protocol, ...route }: RouteSpec & { device?: string }): string =>
  words(
    formatCidr(destination),
    option('via', gateway),
    option('dev', device),
    option('proto', protocol),
    option('src', route.source),
    option('mtu', route.mtu),
    route.onlink === true ? 'onlink' : undefined,
  )

const inTable = (table: Table, name: string): string => `${tableText(table)} ${name}`
const braces = (declaration: string): string => (declaration === '' ? '' : ` { ${declaration} }`)

const elementsText = (verb: string, { table, set, elements }: OpOf<'elements.add' | 'elements.delete'>): string =>
  `nft ${verb} element ${inTable(table, set.name)} { ${elements.map((element) => elementText(set, element)).join(', ')} }`

const addressText = (verb: string, { address }: OpOf<'address.add' | 'address.delete'>): string =>
  words('ip address', verb, formatCidr(address), 'dev', address.device, address.noDad === true ? 'nodad' : undefined)

const TC_PROTOCOL = { ipv4: 'ip', ipv6: 'ipv6' } as const

const TEXT: { readonly [K in Op['kind']]: (op: OpOf<K>) => string } = {
  'link.add': ({ link }) => linkText(link),
  'link.set': ({ name, changes }) => `ip link set dev ${name} ${linkChangesText(changes)}`,
  'link.delete': ({ name }) => `ip link delete dev ${name}`,
  'port.set': ({ name, port: { isolated, hairpin, learning, unicastFlood } }) =>
    words(
      `bridge link set dev ${name}`,
      option('isolated', onOff(isolated)),
      option('hairpin', onOff(hairpin)),
      option('learning', onOff(learning)),
      option('flood', onOff(unicastFlood)),
    ),
  'address.add': (op) => addressText('replace', op),
  'address.delete': (op) => addressText('delete', op),
  'route.replace': ({ route }) => `ip route replace ${routeText(route)}`,
  'route.delete': ({ route }) => `ip route delete ${routeText(route)}`,
  'neighbour.replace': ({ neighbour: { address, device, mac } }) =>
    `ip neighbour replace ${address} dev ${device} lladdr ${mac} nud permanent`,
  'neighbour.delete': ({ neighbour: { address, device } }) => `ip neighbour delete ${address} dev ${device}`,
  'fdb.replace': ({ device, mac }) => `bridge fdb replace ${mac} dev ${device} master static`,
  'clsact.add': ({ device }) => `tc qdisc add dev ${device} clsact`,
  'clsact.delete': ({ device }) => `tc qdisc delete dev ${device} clsact`,
  'ingress.redirect': ({ device, family, target }) =>
    `tc filter add dev ${device} ingress protocol ${TC_PROTOCOL[family.name]} pref ${family.bytes} ` +
    `u32 match u32 0 0 action mirred ingress redirect dev ${target}`,
  'sysctl.set': ({ path, value }) => `sysctl -w ${path.replaceAll('/', '.')}=${value}`,
  'table.add': ({ table }) => `nft add table ${tableText(table)}`,
  'table.delete': ({ table }) => `nft delete table ${tableText(table)}`,
  'chain.add': ({ table, chain }) => `nft add chain ${inTable(table, chain.name)}${braces(chainText(chain))}`,
  'chain.delete': ({ table, chain }) => `nft delete chain ${inTable(table, chain)}`,
  'rules.flush': ({ table, chain }) => `nft flush chain ${inTable(table, chain)}`,
  'rule.add': ({ table, chain, rule }) => `nft add rule ${inTable(table, chain)} ${ruleText(rule)}`,
  'set.add': ({ table, set }) => `nft add ${setKind(set)} ${inTable(table, set.name)}${braces(setText(set))}`,
  'set.delete': ({ table, set }) => `nft delete set ${inTable(table, set)}`,
  'set.flush': ({ table, set }) => `nft flush set ${inTable(table, set)}`,
  'elements.add': (op) => elementsText('add', op),
  'elements.delete': (op) => elementsText('delete', op),
}

export const opText = <K extends Op['kind']>(op: OpOf<K>): string => (TEXT[op.kind] as (op: OpOf<K>) => string)(op)

/** A whole plan, a line for each operation. */
export const planText = (ops: readonly Op[]): string => ops.map((op) => `${opText(op)}\n`).join('')
