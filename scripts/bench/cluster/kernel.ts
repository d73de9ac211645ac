import { IPV4 } from '../../../src/base/family.js'
import { decodeElements, decodeElementsHeader } from '../../../src/codec/nft/element.js'
import { MESSAGE, NFTABLES_GROUP } from '../../../src/codec/nft/constants.js'
import { RTM, RTNLGRP } from '../../../src/codec/rtnl/constants.js'
import { decodeRoute } from '../../../src/codec/rtnl/route.js'
import { type Message, messages } from '../../../src/codec/wire.js'
import { type Place } from '../../../src/cli/demo/place.js'
import { observeElements, observeRuleset } from '../../../src/kernel/observe.js'
import { openSocket, PROTOCOL } from '../../../src/kernel/socket.js'
import { Talk } from '../../../src/kernel/talk.js'
import { servicesTable, slotMap, slotsIn } from '../../../src/proxy/layout.js'
import { type Awaited } from './awaited.js'

/** What a node's kernel says, whatever the agent says. */

/** Endpoints of Services: the elements of all slots. */
export async function endpointsInKernel(place: Place): Promise<number> {
  const talk = place.run(() => new Talk(openSocket({ protocol: PROTOCOL.NETFILTER })))
  try {
    const table = servicesTable(IPV4)
    const structure = await observeRuleset(talk, table)
    let count = 0
    for (let slot = 0; slot < slotsIn(structure?.sets.keys() ?? []); slot++)
      count += (await observeElements(talk, table, slotMap(IPV4, slot))).length
    return count
  } finally {
    talk.close()
  }
}

export const endpointText = (address: string): string => `endpoint ${address}`
export const routeText = (gateway: string): string => `route by ${gateway}`

const GROUPS = [
  { protocol: PROTOCOL.NETFILTER, groups: [NFTABLES_GROUP], read: endpointsIn },
  { protocol: PROTOCOL.ROUTE, groups: [RTNLGRP.IPV4_ROUTE], read: routesIn },
] as const

/** Listens to the notifications of a node's kernel. @returns what ends it */
export function watchKernel(place: Place, texts: Awaited): () => void {
  const sockets = GROUPS.map(({ read, ...options }) =>
    place.run(() =>
      openSocket(options)({
        datagram: (bytes) => {
          const at = performance.now()
          for (const message of messages(bytes)) for (const text of read(message)) texts.saw(text, at)
        },
        failed: (error) => texts.fail(error),
      }),
    ),
  )
  return () => {
    for (const socket of sockets) socket.close()
  }
}

/** All slots are alike. */
const SLOT = slotMap(IPV4, 0)

function endpointsIn(message: Message): string[] {
  if (message.type !== MESSAGE.NEWSETELEM) return []
  if (decodeElementsHeader(message)?.set.startsWith('slot_') !== true) return []
  return decodeElements(message, SLOT).flatMap(({ data }) =>
    data === undefined || 'verdict' in data ? [] : [endpointText(String(data[0]))],
  )
}

function routesIn({ type, payload }: Message): string[] {
  const gateway = type === RTM.NEWROUTE ? decodeRoute(payload)?.gateway : undefined
  return gateway === undefined ? [] : [routeText(gateway)]
}
