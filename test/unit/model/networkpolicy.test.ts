import t from 'tap'
import { formatCidr } from '../../../src/base/ip.js'
import { Cursor } from '../../../src/model/cursor.js'
import { type NetworkPolicy, readNetworkPolicy } from '../../../src/model/networkpolicy.js'
import { selectorText } from '../../../src/model/selector.js'

const policy = (spec: unknown): NetworkPolicy => readNetworkPolicy(new Cursor({ metadata: { name: 'p' }, spec }))

const TYPES: Record<string, [spec: object, ingress: number | undefined, egress: number | undefined]> = {
  'nothing said: ingress, and it allows nothing': [{}, 0, undefined],
  'an empty list of types is no list': [{ policyTypes: [] }, 0, undefined],
  'rules for ingress': [{ ingress: [{}, {}] }, 2, undefined],
  'rules for egress bring Ingress along': [{ egress: [{}] }, 0, 1],
  'an empty list of egress rules does not': [{ egress: [] }, 0, undefined],
  'Egress alone': [{ policyTypes: ['Egress'], egress: [{}] }, undefined, 1],
  'Egress alone makes ingress rules void': [{ policyTypes: ['Egress'], ingress: [{}] }, undefined, 0],
  'Ingress alone makes egress rules void': [{ policyTypes: ['Ingress'], egress: [{}] }, 0, undefined],
  both: [{ policyTypes: ['Ingress', 'Egress'] }, 0, 0],
}

t.test('policyTypes default as the API does it', async (t) => {
  for (const [what, [spec, ingress, egress]] of Object.entries(TYPES)) {
    const parsed = policy({ podSelector: {}, ...spec })
    t.same([parsed.ingress?.length, parsed.egress?.length], [ingress, egress], what)
  }
})

t.test('a policy is read in full', async (t) => {
  const parsed = policy({
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [
      {
        from: [
          { podSelector: {} },
          { namespaceSelector: { matchLabels: { team: 'a' } } },
          { podSelector: { matchLabels: { app: 'web' } }, namespaceSelector: {} },
          { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.2.3.4/32'] } },
        ],
        ports: [{ port: 5432 }, { protocol: 'UDP', port: 'dns' }, { protocol: 'SCTP' }, { port: 100, endPort: 200 }],
      },
      {},
    ],
  })
  t.equal(selectorText(parsed.podSelector), 'app=db')
  const [rule, open] = parsed.ingress ?? []
  t.same(open, { peers: [], ports: [] })
  t.same(
    rule?.peers.map(({ podSelector, namespaceSelector, ipBlock }) => [
      podSelector && selectorText(podSelector),
      namespaceSelector && selectorText(namespaceSelector),
      ipBlock && [ipBlock.cidr, ...ipBlock.except].map(formatCidr),
    ]),
    [
      ['', undefined, undefined],
      [undefined, 'team=a', undefined],
      ['app=web', '', undefined],
      [undefined, undefined, ['10.0.0.0/8', '10.1.0.0/16', '10.2.3.4/32']],
    ],
  )
  t.same(rule?.ports, [
    { protocol: 'TCP', port: 5432, endPort: undefined },
    { protocol: 'UDP', port: 'dns', endPort: undefined },
    { protocol: 'SCTP', port: undefined, endPort: undefined },
    { protocol: 'TCP', port: 100, endPort: 200 },
  ])
})

const from = (peer: unknown): object => ({ ingress: [{ from: [peer] }] })
const ports = (port: unknown): object => ({ egress: [{ ports: [port] }] })
const block = (ipBlock: object): object => from({ ipBlock })

const REFUSALS: Record<string, [spec: object, field: string]> = {
  'an unknown type': [{ policyTypes: ['ingress'] }, 'spec.policyTypes[0]'],
  'a misspelt field of the policy': [{ ingres: [] }, 'spec.ingres'],
  'a misspelt field of a rule': [{ ingress: [{ form: [] }] }, 'spec.ingress[0].form'],
  'to in an ingress rule': [{ ingress: [{ to: [] }] }, 'spec.ingress[0].to'],
  'a rule that is null': [{ ingress: [null] }, 'spec.ingress[0]'],
  'a peer that is nothing': [from({}), 'spec.ingress[0].from[0]'],
  'a peer whose selector is null': [from({ podSelector: null }), 'spec.ingress[0].from[0]'],
  'a peer that is null': [from(null), 'spec.ingress[0].from[0]'],
  'a block beside a selector': [
    from({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }),
    'spec.ingress[0].from[0].ipBlock',
  ],
  'a block without a network': [block({}), 'spec.ingress[0].from[0].ipBlock.cidr'],
  'an exception elsewhere': [
    block({ cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] }),
    'spec.ingress[0].from[0].ipBlock.except[0]',
  ],
  'an exception of everything': [
    block({ cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] }),
    'spec.ingress[0].from[0].ipBlock.except[0]',
  ],
  'an exception of the other family': [
    block({ cidr: '10.0.0.0/8', except: ['fd00::/16'] }),
    'spec.ingress[0].from[0].ipBlock.except[0]',
  ],
  'port 0': [ports({ port: 0 }), 'spec.egress[0].ports[0].port'],
  'a port in quotes': [ports({ port: '80' }), 'spec.egress[0].ports[0].port'],
  'a range of a name': [ports({ port: 'http', endPort: 90 }), 'spec.egress[0].ports[0].endPort'],
  'a range without a start': [ports({ endPort: 90 }), 'spec.egress[0].ports[0].endPort'],
  'a range that goes backwards': [ports({ port: 90, endPort: 80 }), 'spec.egress[0].ports[0].endPort'],
  'an unknown protocol': [ports({ protocol: 'ICMP' }), 'spec.egress[0].ports[0].protocol'],
  'a bad selector': [{ podSelector: { matchLabels: [] } }, 'spec.podSelector.matchLabels'],
}

t.test('bad policies are refused', async (t) => {
  for (const [what, [spec, field]] of Object.entries(REFUSALS))
    t.throws(() => policy(spec), { code: 'invalid', field }, what)
})
