import t from 'tap'
import { IPV4, IPV6 } from '../../../../src/base/family.js'
import { cidrContains, cidrsOverlap, networkOf } from '../../../../src/base/ip.js'
import { layOut, MOST_NODES, nodeObject, SEGMENT_HOST } from '../../../../src/cli/demo/layout.js'
import { parseObject } from '../../../../src/model/object.js'

const nodes = layOut(MOST_NODES)

t.test('every node has an address of each family on the segment, and no two the same', async (t) => {
  const networks = SEGMENT_HOST.map(({ family, address, prefix }) => networkOf(family, address, prefix))
  for (const { addresses } of nodes)
    t.ok(
      addresses.every(({ address }, i) => cidrContains(networks[i]!, address)),
      addresses[0]!.address,
    )
  const all = [...SEGMENT_HOST, ...nodes.flatMap(({ addresses }) => addresses)].map(({ address }) => address)
  t.equal(new Set(all).size, all.length)
})

t.test('networks of pods do not overlap', async (t) => {
  const cidrs = nodes.flatMap(({ podCIDRs }) => podCIDRs)
  for (const [i, cidr] of cidrs.entries())
    t.notOk(
      cidrs.slice(i + 1).some((other) => cidrsOverlap(cidr, other)),
      cidr.address,
    )
})

t.test('its object is a Node as agents read it', async (t) => {
  t.match(parseObject(nodeObject(nodes[1]!)), {
    kind: 'Node',
    name: 'node-2',
    podCIDRs: [
      { family: IPV4, address: '10.244.2.0', prefix: 24 },
      { family: IPV6, address: 'fd00:244:2::', prefix: 64 },
    ],
    internalIPs: [{ address: '172.30.0.12' }, { address: 'fd00:30::12' }],
  })
})
