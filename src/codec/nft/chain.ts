import { NetloomError } from '../../base/errors.js'
import { type Request } from '../request.js'
import { FLAG, type Message } from '../wire.js'
import { CHAIN_ATTR, HOOK_ATTR, type HookName, HOOKS, MESSAGE, type TableFamily, VERDICT } from './constants.js'
import { readAttributes, readFamily, type Table, tableRequest, tableText } from './table.js'

/** A chain; with `base`, one that the kernel calls at a hook. */
export interface Chain {
  readonly name: string
  readonly base?: BaseChain
}

export const CHAIN_TYPES = ['nat', 'filter', 'route'] as const

export interface BaseChain {
  readonly type: (typeof CHAIN_TYPES)[number]
  readonly hook: HookName
  readonly priority: number
  /** What becomes of a packet that no rule decides; accept unless given. */
  readonly policy?: 'accept' | 'drop'
}

/** Creates the chain; where it exists with the same hook, its policy is set and no more. */
export const addChain = (table: Table, { name, base }: Chain): Request =>
  tableRequest({
    type: MESSAGE.NEWCHAIN,
    flags: FLAG.CREATE,
    table,
    operation: `create chain ${tableText(table)} ${name}`,
    body: (writer) => {
      writer.attrString(CHAIN_ATTR.NAME, name)
      if (base === undefined) return
      writer.attrString(CHAIN_ATTR.TYPE, base.type).attrBe32(CHAIN_ATTR.POLICY, VERDICT[base.policy ?? 'accept'])
      const hook = writer.nest(CHAIN_ATTR.HOOK)
      writer
        .attrBe32(HOOK_ATTR.NUMBER, hookNumber(table, base.hook))
        .attrBe32(HOOK_ATTR.PRIORITY, base.priority >>> 0)
        .end(hook)
    },
  })

export const deleteChain = (table: Table, name: string): Request =>
  tableRequest({
    type: MESSAGE.DELCHAIN,
    table,
    operation: `delete chain ${tableText(table)} ${name}`,
    body: (writer) => writer.attrString(CHAIN_ATTR.NAME, name),
  })

export const dumpChains = (table: Table): Request =>
  tableRequest({ type: MESSAGE.GETCHAIN, table, operation: `list chains of ${tableText(table)}` })

function hookNumber({ family }: Table, hook: HookName): number {
  const number = HOOKS[family][hook]
  if (number === undefined) throw new NetloomError('internal', `family ${family} has no hook ${hook}`)
  return number
}

const hookName = (family: TableFamily, number: number | undefined): HookName | undefined =>
  (Object.keys(HOOKS[family]) as HookName[]).find((hook) => HOOKS[family][hook] === number)

/** The chain and its table; undefined where it is in a family that netloom has no tables in. */
export function decodeChain(message: Message): { table: Table; chain: Chain } | undefined {
  const family = readFamily(message)
  const attributes = readAttributes(message)
  const table = attributes.string(CHAIN_ATTR.TABLE)
  const name = attributes.string(CHAIN_ATTR.NAME)
  if (family === undefined || table === undefined || name === undefined) return undefined
  const at = attributes.nested(CHAIN_ATTR.HOOK)
  if (at === undefined) return { table: { family, name: table }, chain: { name } }
  const hook = hookName(family, at.be32(HOOK_ATTR.NUMBER))
  const type = CHAIN_TYPES.find((known) => known === attributes.string(CHAIN_ATTR.TYPE))
  if (hook === undefined || type === undefined)
    throw new NetloomError('invalid', `chain ${family} ${table} ${name} is at a hook or of a type that no kernel has`)
  const priority = (at.be32(HOOK_ATTR.PRIORITY) ?? 0) | 0
  const policy = attributes.be32(CHAIN_ATTR.POLICY) === VERDICT.drop ? ({ policy: 'drop' } as const) : {}
  return { table: { family, name: table }, chain: { name, base: { type, hook, priority, ...policy } } }
}

type Priorities = readonly (readonly [name: string, priority: number])[]

const OF_IP: Priorities = [
  ['raw', -300],
  ['dstnat', -100],
  ['filter', 0],
  ['srcnat', 100],
]

/** Names of priorities, which mean other numbers in other families. */
const STANDARD_PRIORITY: Readonly<Record<TableFamily, Priorities>> = {
  inet: OF_IP,
  ip: OF_IP,
  ip6: OF_IP,
  arp: [['filter', 0]],
  bridge: [
    ['dstnat', -300],
    ['filter', -200],
    ['srcnat', 300],
  ],
}

const priorityText = (family: TableFamily, priority: number): string =>
  STANDARD_PRIORITY[family].find(([, value]) => value === priority)?.[0] ?? String(priority)

/** The chain's declaration in nft's grammar, what stands between its braces. */
export const chainText = ({ base }: Chain, family: TableFamily): string =>
  base === undefined
    ? ''
    : `type ${base.type} hook ${base.hook} priority ${priorityText(family, base.priority)}; ` +
      `policy ${base.policy ?? 'accept'};`
