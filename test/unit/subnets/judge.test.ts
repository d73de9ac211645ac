import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { judgeSubnets } from '../../../src/subnets/judge.js'

const cidrs = (text: string) => text.split(' ').flatMap((part) => (part === '' ? [] : [parseCidr(part)]))

/** `NETWORK@DEVICE`, by spaces. */
const hosts = (text: string) =>
  text.split(' ').map((part) => {
    const [cidr = '', device = ''] = part.split('@')
    return { cidr: parseCidr(cidr), device }
  })

const HOST = '192.168.1.0/24@eth0 0.0.0.0/0@ppp0'

interface Case {
  readonly name: string
  readonly current?: string
  readonly inUse?: string
  readonly desired: string
  readonly refused?: string
}

const CASES: readonly Case[] = [
  { name: 'a first subnet is accepted', desired: '10.0.1.0/24 fd00:1::/64' },
  { name: 'a changed one is while no pod uses it', current: '10.0.1.0/24', desired: '10.0.2.0/24' },
  { name: 'a second family is', current: '10.0.1.0/24', inUse: '10.0.1.0/24', desired: '10.0.1.0/24 fd00:1::/64' },
  {
    name: 'a changed one is refused while pods use it',
    current: '10.0.1.0/24',
    inUse: '10.0.1.0/24',
    desired: '10.0.2.0/24',
    refused:
      'pods of the node have addresses of 10.0.1.0/24, and it is now to use 10.0.2.0/24: drain the node, or give ' +
      '10.0.1.0/24 back to it. Until that is put right the node goes on with 10.0.1.0/24.',
  },
  {
    name: 'one that is taken away is refused while pods use it',
    current: '10.0.1.0/24 fd00:1::/64',
    inUse: '10.0.1.0/24',
    desired: 'fd00:1::/64',
    refused:
      'pods of the node have addresses of 10.0.1.0/24, and it is to use that no longer: drain the node, or give ' +
      '10.0.1.0/24 back to it. Until that is put right the node goes on with 10.0.1.0/24, fd00:1::/64.',
  },
  {
    name: 'one that overlaps a network of the host is refused',
    desired: '192.168.0.0/20',
    refused:
      "the node's pod subnet 192.168.0.0/20 overlaps 192.168.1.0/24, a network that its own eth0 is connected to: " +
      'choose other networks for pods. Until that is put right no pod gets a network.',
  },
]

for (const { name, current = '', inUse = '', desired, refused } of CASES)
  t.test(name, async (t) => {
    const desiredCidrs = cidrs(desired)
    const question = { current: cidrs(current), inUse: cidrs(inUse), desired: desiredCidrs, hostNetworks: hosts(HOST) }
    t.same(
      judgeSubnets(question),
      refused === undefined ? { verdict: 'accept', subnets: desiredCidrs } : { verdict: 'refuse', message: refused },
    )
  })
