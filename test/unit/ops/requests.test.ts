import t from 'tap'
import { IPV4 } from '../../../src/base/family.js'
import { parseCidr, parseIp, parseIpPrefix } from '../../../src/base/ip.js'
import { NetloomError } from '../../../src/base/errors.js'
import { ELEMENTS_PER_MESSAGE } from '../../../src/codec/nft/element.js'
import { MESSAGE } from '../../../src/codec/nft/constants.js'
import { type SetSpec } from '../../../src/codec/nft/set.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { TYPE } from '../../../src/codec/nft/types.js'
import { RTM } from '../../../src/codec/rtnl/constants.js'
import { type NftOp, type OpOf } from '../../../src/ops/op.js'
import { nftRequests, rtnlRequest, type RtnlOp } from '../../../src/ops/requests.js'

const table: Table = { family: 'ip', name: 't' }
const set: SetSpec = { name: 'ips', key: [TYPE.ipv4_addr] }
const MAC = '02:00:00:00:00:01'
const filter = { device: 'd0', family: IPV4, priority: 5 }

type Row<K extends RtnlOp['kind'] | NftOp['kind']> = readonly [fields: Omit<OpOf<K>, 'kind'>, type: number]

/** What each kind is to rtnetlink, and the links that it needs the indexes of. */
const RTNL: { readonly [K in RtnlOp['kind']]: readonly [...Row<K>, devices: readonly string[]] } = {
  'link.add': [{ link: { kind: 'dummy', name: 'd0' } }, RTM.NEWLINK, []],
  'link.set': [{ name: 'd0', changes: { up: true } }, RTM.NEWLINK, []],
  'link.delete': [{ name: 'd0' }, RTM.DELLINK, []],
  'port.set': [{ name: 'd0', port: { isolated: true } }, RTM.NEWLINK, []],
  'vxlan.set': [{ name: 'd0', vxlan: { id: 1, local: '192.0.2.1' } }, RTM.NEWLINK, []],
  'address.add': [{ address: { ...parseIpPrefix('10.0.0.1/24'), device: 'd0' } }, RTM.NEWADDR, ['d0']],
  'address.delete': [{ address: { ...parseIpPrefix('10.0.0.1/24'), device: 'd0' } }, RTM.DELADDR, ['d0']],
  'route.replace': [
    { route: { destination: parseCidr('10.0.0.0/8'), device: 'd0', protocol: 110 } },
    RTM.NEWROUTE,
    ['d0'],
  ],
  'route.delete': [{ route: { destination: parseCidr('10.0.0.0/8'), protocol: 110 } }, RTM.DELROUTE, []],
  'neighbour.replace': [{ neighbour: { ...parseIp('10.0.0.2'), device: 'd0', mac: MAC } }, RTM.NEWNEIGH, ['d0']],
  'neighbour.delete': [{ neighbour: { ...parseIp('10.0.0.2'), device: 'd0', mac: MAC } }, RTM.DELNEIGH, ['d0']],
  'fdb.replace': [{ device: 'd0', mac: MAC }, RTM.NEWNEIGH, ['d0']],
  'vtep.replace': [{ device: 'd0', mac: MAC, remote: '192.0.2.1' }, RTM.NEWNEIGH, ['d0']],
  'vtep.delete': [{ device: 'd0', mac: MAC, remote: '192.0.2.1' }, RTM.DELNEIGH, ['d0']],
  'clsact.add': [{ device: 'd0' }, RTM.NEWQDISC, ['d0']],
  'clsact.delete': [{ device: 'd0' }, RTM.DELQDISC, ['d0']],
  'ingress.redirect': [{ device: 'd0', family: IPV4, target: 'd1' }, RTM.NEWTFILTER, ['d0', 'd1']],
  'limit.replace': [{ device: 'd0', handle: 1, rate: 1, burst: 1, limit: 1 }, RTM.NEWQDISC, ['d0']],
  'limit.delete': [{ device: 'd0', handle: 1 }, RTM.DELQDISC, ['d0']],
  'filter.add': [{ ...filter, to: 'egress', target: 'd1' }, RTM.NEWTFILTER, ['d0', 'd1']],
  'filter.delete': [filter, RTM.DELTFILTER, ['d0']],
  'filter.table': [{ ...filter, tableId: 1, buckets: 256 }, RTM.NEWTFILTER, ['d0']],
  'filter.link': [{ ...filter, tableId: 1, hash: { offset: 12, mask: 255 } }, RTM.NEWTFILTER, ['d0']],
}

t.test('every operation on the network is one request, with the indexes of its links', async (t) => {
  for (const [kind, [fields, type, devices]] of Object.entries(RTNL)) {
    const asked: string[] = []
    const request = rtnlRequest({ kind, ...fields } as RtnlOp, (device) => asked.push(device))
    t.equal(request.type, type, kind)
    t.strictSame(asked, devices, kind)
  }
})

t.test('a link that is not there is an error of its own', async (t) => {
  const missing = new NetloomError('not-found', 'no link d0')
  const indexOf = (): number => {
    throw missing
  }
  t.throws(() => rtnlRequest({ kind: 'clsact.add', device: 'd0' }, indexOf), missing)
})

const elements = [{ key: ['10.0.0.1'] }]
const NFT: { readonly [K in NftOp['kind']]: Row<K> } = {
  'table.add': [{ table }, MESSAGE.NEWTABLE],
  'table.delete': [{ table }, MESSAGE.DELTABLE],
  'chain.add': [{ table, chain: { name: 'c' } }, MESSAGE.NEWCHAIN],
  'chain.delete': [{ table, chain: 'c' }, MESSAGE.DELCHAIN],
  'rules.flush': [{ table, chain: 'c' }, MESSAGE.DELRULE],
  'rule.add': [{ table, chain: 'c', rule: [{ kind: 'masquerade' }] }, MESSAGE.NEWRULE],
  'set.add': [{ table, set }, MESSAGE.NEWSET],
  'set.delete': [{ table, set: 'ips' }, MESSAGE.DELSET],
  'set.flush': [{ table, set: 'ips' }, MESSAGE.DELSETELEM],
  'elements.add': [{ table, set, elements }, MESSAGE.NEWSETELEM],
  'elements.delete': [{ table, set, elements }, MESSAGE.DELSETELEM],
}

t.test('every operation on a ruleset is one request', async (t) => {
  for (const [kind, [fields, type]] of Object.entries(NFT)) {
    const requests = nftRequests({ kind, ...fields } as NftOp)
    t.strictSame(
      requests.map((request) => request.type),
      [type],
      kind,
    )
  }
})

t.test('elements that do not fit into one message are several requests, none at all is none', async (t) => {
  const many = Array.from({ length: ELEMENTS_PER_MESSAGE + 1 }, (_, i) => ({ key: [`10.0.${i >> 8}.${i & 255}`] }))
  t.equal(nftRequests({ kind: 'elements.add', table, set, elements: many }).length, 2)
  t.equal(nftRequests({ kind: 'elements.delete', table, set, elements: [] }).length, 0)
})
