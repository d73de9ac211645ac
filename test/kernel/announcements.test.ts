import t from 'tap'
import { bytesToIp } from '../../src/base/ip.js'
import { bytesToMac } from '../../src/codec/rtnl/mac.js'
import { ETHER_TYPE, ICMPV6_TYPE, IP_PROTOCOL } from '../../src/codec/nft/types.js'
import { hostInterfaceOf } from '../../src/model/lease.js'
import { clearNamespace, eventually, raiseUplink, TestNode } from '../support/node.js'
import { BROADCAST } from '../support/frames.js'
import { type CapturedFrame, FrameCapture } from '../support/raw-frames.js'

/** What a container says of itself when it is attached: somebody may remember who had its addresses before. */

/** An address belongs to a MAC address, says a frame of which these are the ends. */
interface Announcement {
  readonly source: string
  readonly destination: string
  readonly address: string
  readonly mac: string
}

const macAt = (bytes: Buffer, at: number): string => bytesToMac(bytes.subarray(at, at + 6)) ?? ''
const ends = (bytes: Buffer) => ({ source: macAt(bytes, 6), destination: macAt(bytes, 0) })
const typeOf = (bytes: Buffer): number => bytes.readUInt16BE(12)

/** ARP that asks for the sender's own address, or answers nobody's question. */
function gratuitous({ bytes }: CapturedFrame): Announcement[] {
  if (typeOf(bytes) !== ETHER_TYPE.arp) return []
  const [sender, target] = [bytesToIp(bytes.subarray(28, 32)), bytesToIp(bytes.subarray(38, 42))]
  return sender === target ? [{ ...ends(bytes), address: sender, mac: macAt(bytes, 22) }] : []
}

const [ALL_NODES, ALL_NODES_MAC] = ['ff02::1', '33:33:00:00:00:01']
/** Of an advertisement: who hears it forgets what it knew. */
const OVERRIDE = 0x20

/** A neighbour advertisement to everybody, which overrides what they know. */
function unsolicited({ bytes }: CapturedFrame): Announcement[] {
  if (typeOf(bytes) !== ETHER_TYPE.ip6 || bytes[20] !== IP_PROTOCOL.icmpv6) return []
  if (
    bytes[54] !== ICMPV6_TYPE['nd-neighbor-advert'] ||
    bytesToIp(bytes.subarray(38, 54)) !== ALL_NODES ||
    bytes[58] !== OVERRIDE
  )
    return []
  const [sender, address] = [bytesToIp(bytes.subarray(22, 38)), bytesToIp(bytes.subarray(62, 78))]
  return sender === address ? [{ ...ends(bytes), address, mac: macAt(bytes, 80) }] : []
}

for (const mode of ['bridge', 'ptp'])
  t.test(`mode ${mode}: a container announces both its addresses as soon as it has them`, async (t) => {
    t.teardown(clearNamespace)
    raiseUplink()
    const node = await new TestNode(t).start()
    node.createPod('a')
    const capture = new FrameCapture()
    t.teardown(() => capture.close())
    const { answer } = await node.cni('ADD', 'a', { config: { mode } })
    const mac = answer?.interfaces?.[1]?.mac ?? ''
    const [ipv4 = '', ipv6 = ''] = (answer?.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''))
    const link = hostInterfaceOf({ network: 'pods', containerId: 'a', ifname: 'eth0' })
    const heard: CapturedFrame[] = []
    const hears = (wanted: (frame: CapturedFrame) => Announcement[], address: string): Announcement[] => {
      heard.push(...capture.take().filter((frame) => frame.link === link))
      return heard.flatMap(wanted).filter((announcement) => announcement.address === address)
    }
    await eventually(() => hears(gratuitous, ipv4).length > 0)
    await eventually(() => hears(unsolicited, ipv6).length > 0)
    t.strictSame(hears(gratuitous, ipv4)[0], { source: mac, destination: BROADCAST, address: ipv4, mac })
    t.strictSame(hears(unsolicited, ipv6)[0], { source: mac, destination: ALL_NODES_MAC, address: ipv6, mac })
  })
