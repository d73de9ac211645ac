import t from 'tap'
import { type HostPort, hostPortsOf } from '../../../src/hostports/hostport.js'
import { HOSTPORTS_RULESET } from '../../../src/hostports/layout.js'
import {
  hostPortDifferences,
  type HostPortsActual,
  localnetDevice,
  planConceal,
  planExpose,
  planHostPorts,
} from '../../../src/hostports/plan.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { type PortMapping } from '../../../src/model/portmapping.js'
import { type Op } from '../../../src/ops/op.js'
import { asActual } from '../../../src/ops/ruleset.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'

const mapping = (hostPort: number, fields: Partial<PortMapping> = {}): PortMapping => ({
  hostPort,
  containerPort: 8080,
  protocol: 'TCP',
  ...fields,
})

const V4: LeaseFields = { addresses: ['10.1.0.2'] }
const portsOf = (ports: readonly PortMapping[], fields: LeaseFields = V4): HostPort[] =>
  hostPortsOf(exampleLease({ ...fields, ports }))

/** The kernel as these operations leave it, in a table that stands. */
function after(...plans: readonly (readonly Op[])[]): HostPortsActual {
  const elements = new Map<string, Element[]>(HOSTPORTS_RULESET.sets.map(({ name }) => [name, []]))
  for (const op of plans.flat()) {
    if (op.kind === 'elements.add') elements.get(op.set.name)?.push(...op.elements)
    if (op.kind === 'elements.delete')
      for (const { key } of op.elements) {
        const list = elements.get(op.set.name) ?? []
        const at = list.findIndex((element) => element.key.join() === key.join())
        if (at === -1) throw new Error(`no element ${key.join()}`)
        list.splice(at, 1)
      }
  }
  return { structure: asActual(HOSTPORTS_RULESET), elements }
}

const none = new Map<string, string>()
const sync = (ports: readonly HostPort[], actual: HostPortsActual): string =>
  planText(planHostPorts({ ports, devices: [] }, actual, none))

t.test('exposing is a few elements in one transaction', async (t) => {
  const ports = portsOf([mapping(80), mapping(443, { hostIP: '192.0.2.1' })])
  t.equal(
    planText(planExpose(ports, 'netloom0')),
    [
      'sysctl -w net.ipv4.conf.netloom0.route_localnet=1',
      'nft add element inet netloom-hostports at_address_ipv4 { 192.0.2.1 . tcp . 443 : 10.1.0.2 . 8080 }',
      'nft add element inet netloom-hostports anywhere_ipv4 { tcp . 80 : 10.1.0.2 . 8080 }',
      'nft add element inet netloom-hostports nearby_ipv4 { 10.1.0.2 . 10.1.0.2, 127.0.0.0-127.255.255.255 . 10.1.0.2 }',
      '',
    ].join('\n'),
  )
})

t.test('flows of UDP and SCTP are forgotten, those of TCP are not', async (t) => {
  const ports = portsOf([mapping(80), mapping(53, { protocol: 'UDP' }), mapping(53, { protocol: 'SCTP' })])
  const flows = (ops: readonly Op[]): string[] =>
    planText(ops.filter(({ kind }) => kind === 'flows.delete')).split('\n')
  t.same(flows(planExpose(ports)), [
    'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --reply-port-src 53',
    'conntrack -D -f ipv4 -p sctp --orig-port-dst 53 --reply-port-src 53',
    '',
  ])
  t.same(flows(planConceal(ports)), [
    'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --reply-src 10.1.0.2 --reply-port-src 8080',
    'conntrack -D -f ipv4 -p sctp --orig-port-dst 53 --reply-src 10.1.0.2 --reply-port-src 8080',
    '',
  ])
})

t.test('rules change before flows are forgotten', async (t) => {
  for (const plan of [planExpose, planConceal]) {
    const kinds = plan(portsOf([mapping(53, { protocol: 'UDP' })])).map(({ kind }) => kind)
    t.equal(kinds.at(-1), 'flows.delete')
    t.equal(kinds.filter((kind) => kind === 'flows.delete').length, 1)
  }
})

t.test('no ports are no operations', async (t) => {
  t.same(planExpose([]), [])
  t.same(planConceal([]), [])
})

t.test('concealing takes away what exposing made', async (t) => {
  const ports = portsOf([mapping(80), mapping(53, { protocol: 'UDP' }), mapping(81, { hostIP: 'fd00::9' })], {})
  for (const list of after(planExpose(ports), planConceal(ports)).elements.values()) t.same(list, [])
})

t.test('the table is made with everything in it, and the link opened behind it', async (t) => {
  const ports = portsOf([mapping(80)])
  const kinds = planHostPorts({ ports, devices: ['netloom0'] }, undefined, none).map(({ kind }) => kind)
  t.equal(kinds[0], 'table.add')
  t.equal(kinds.at(-1), 'sysctl.set')
})

t.test('what is as wanted is left alone', async (t) => {
  const ports = portsOf([mapping(80), mapping(53, { protocol: 'UDP' }), mapping(81, { hostIP: 'fd00::9' })], {})
  t.equal(sync(ports, after(planExpose(ports))), '')
  const open = new Map([['net/ipv4/conf/netloom0/route_localnet', '1']])
  t.same(planHostPorts({ ports, devices: ['netloom0'] }, after(planExpose(ports)), open), [])
})

t.test('only the difference is written, with the flows that follow it', async (t) => {
  const actual = after(planExpose(portsOf([mapping(80), mapping(53, { protocol: 'UDP' })])))
  const wanted = portsOf([mapping(80), mapping(53, { protocol: 'UDP', containerPort: 5353 })])
  t.equal(
    sync(wanted, actual),
    [
      'nft delete element inet netloom-hostports anywhere_ipv4 { udp . 53 }',
      'nft add element inet netloom-hostports anywhere_ipv4 { udp . 53 : 10.1.0.2 . 5353 }',
      'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --reply-src 10.1.0.2 --reply-port-src 8080',
      'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --reply-port-src 53',
      '',
    ].join('\n').replace('{ udp . 53 }', '{ udp . 53 : 10.1.0.2 . 8080 }'),
  ) // prettier-ignore
})

t.test('the link that leads to a container, where its ports are at 127.0.0.1', async (t) => {
  const device = (fields: LeaseFields, hostIP?: string): string | undefined => {
    const lease = exampleLease({ ...fields, ports: [mapping(80, hostIP === undefined ? {} : { hostIP })] })
    return localnetDevice(lease, hostPortsOf(lease))
  }
  t.equal(device({}), 'netloom0')
  t.equal(device({ mode: 'ptp' }), 'nlm-1')
  t.equal(device({ mode: 'chained' }), 'nlm-1')
  t.equal(device({}, '127.0.0.1'), 'netloom0')
  t.equal(device({}, '192.0.2.1'), undefined)
  t.equal(device({ addresses: ['fd00:1::2'] }), undefined)
})

t.test('CHECK is told what is not as it was made', async (t) => {
  const ports = portsOf([mapping(80)])
  const texts = (actual: HostPortsActual | undefined): string[] => [...hostPortDifferences(ports, actual)]
  t.same(texts(after(planExpose(ports))), [])
  t.same([...hostPortDifferences([], undefined)], [])
  t.match(texts(undefined), ['the table of host ports is not as it was made'])
  t.same(texts(after()), [
    'host port 80/TCP of every IPv4 address leads nowhere, not to 10.1.0.2 port 8080',
    'clients in 10.1.0.2 do not get the answers of 10.1.0.2',
    'clients in 127.0.0.0 do not get the answers of 10.1.0.2',
  ])
  const other = portsOf([mapping(80)], { addresses: ['10.1.0.9'] })
  t.match(texts(after(planExpose(other))), [/leads to 10\.1\.0\.9 port 8080, not to 10\.1\.0\.2 port 8080/])
})
