import { writeFileSync } from 'node:fs'
import { parseCidr } from '../../base/ip.js'
import { RTPROT } from '../../codec/rtnl/constants.js'
import { Applier } from '../../kernel/apply.js'
import { createNamespace } from '../../kernel/netns.js'
import { observeLink } from '../../kernel/observe.js'
import { openSocket, PROTOCOL } from '../../kernel/socket.js'
import { Talk } from '../../kernel/talk.js'
import { type Op } from '../../ops/op.js'
import { type DemoNode, SEGMENT_HOST } from './layout.js'
import { Place } from './place.js'

/** The nodes' namespaces and the segment that joins them: a bridge in the namespace of the demo itself. */

const BRIDGE = 'segment'
/** The nodes' interface on the segment. */
const UPLINK = 'eth0'

/** Brings everything up. @returns the nodes' namespaces in the order of `nodes` */
export async function raiseSegment(nodes: readonly DemoNode[]): Promise<Place[]> {
  const places = nodes.map(({ name }) => new Place(createNamespace(name)))
  await conversing(openRoute, async (talk) => {
    const applier = new Applier({ route: talk })
    await applier.apply(hostOps())
    const bridge = await observeLink(talk, BRIDGE)
    await applier.apply(places.map((place, i) => cable(nodes[i]?.name ?? '', place, bridge?.index ?? 0)))
  })
  await Promise.all(nodes.map((node, i) => configure(node, places[i] as Place)))
  return places
}

const openRoute = (): Talk => new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))

async function conversing(open: () => Talk, work: (talk: Talk) => Promise<unknown>): Promise<void> {
  const talk = open()
  try {
    await work(talk)
  } finally {
    talk.close()
  }
}

/**
 * Without a link-local address a node cannot ask for its neighbours' link addresses, and while duplicates are looked
 * for it has none: the first packets to other nodes would wait for a second.
 */
const NO_DUPLICATES = `/proc/sys/net/ipv6/conf/${UPLINK}/accept_dad`

function configure(node: DemoNode, place: Place): Promise<void> {
  place.run(() => writeFileSync(NO_DUPLICATES, '0'))
  return conversing(
    () => place.run(openRoute),
    (talk) => new Applier({ route: talk }).apply(nodeOps(node)),
  )
}

const up = (name: string): Op => ({ kind: 'link.set', name, changes: { up: true } })

const hostOps = (): Op[] => [
  { kind: 'link.add', link: { kind: 'bridge', name: BRIDGE, bridge: { forwardDelay: 0, mcastSnooping: false } } },
  up('lo'),
  up(BRIDGE),
  ...SEGMENT_HOST.map((address): Op => ({ kind: 'address.add', address: { ...address, device: BRIDGE, noDad: true } })),
]

const cable = (node: string, { namespace }: Place, bridge: number): Op => ({
  kind: 'link.add',
  link: { kind: 'veth', name: node, up: true, master: bridge, peer: { name: UPLINK, netnsFd: namespace } },
})

/** The default route is for the node's own processes: without a route to a Service's address they would not even try. */
const nodeOps = ({ addresses }: DemoNode): Op[] => [
  up('lo'),
  up(UPLINK),
  ...addresses.map((address): Op => ({ kind: 'address.add', address: { ...address, device: UPLINK, noDad: true } })),
  ...SEGMENT_HOST.map(({ family, address }): Op => ({
    kind: 'route.replace',
    route: {
      destination: parseCidr(family.everything),
      gateway: address,
      device: UPLINK,
      protocol: RTPROT.STATIC,
    },
  })),
]

/** A namespace for a pod, with nothing in it but loopback. */
export async function createPodNamespace(name: string): Promise<Place> {
  const place = new Place(createNamespace(name))
  await conversing(
    () => place.run(openRoute),
    (talk) => new Applier({ route: talk }).apply([up('lo')]),
  )
  return place
}
