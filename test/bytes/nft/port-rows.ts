import { FAMILIES } from '../../../src/base/family.js'
import { addElements, deleteElements, type Element } from '../../../src/codec/nft/element.js'
import { addRule } from '../../../src/codec/nft/rule.js'
import { addSet, type SetSpec } from '../../../src/codec/nft/set.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { PORT_RULES, portSets } from '../../support/port-rules.js'
import { type Normal, type Row } from './captured.js'

/** The table of ports of the node, of both families. */
export const PORT_TABLE: Table = { family: 'inet', name: 'h' }

export const PORT_SETS: readonly SetSpec[] = FAMILIES.flatMap((family) => {
  const { anywhere, nearby } = portSets(family)
  return [anywhere, nearby]
})

/** What is in each set. */
export const PORT_ELEMENTS: readonly (readonly [SetSpec, readonly Element[]])[] = FAMILIES.flatMap((family) => {
  const { anywhere, nearby, elements } = portSets(family)
  return [
    [anywhere, [elements.port]],
    [nearby, [elements.net, elements.one]],
  ] as const
})

export const portSetRows = (): [string, Row][] =>
  PORT_SETS.map((set) => [`inet h: ${set.name}`, { requests: [addSet(PORT_TABLE, set)] }])

export const portRuleRows = (normal: Normal): [string, Row][] =>
  Object.entries(PORT_RULES).map(([name, [chain, rule]]) => [
    `inet h: ${name}`,
    { requests: [addRule(PORT_TABLE, chain, rule)], normal },
  ])

export const portElementRows = (normal: Normal): [string, Row][] =>
  FAMILIES.flatMap((family): [string, Row][] => {
    const { anywhere, nearby, elements } = portSets(family)
    const row = (name: string, set: SetSpec, element: Element): [string, Row] => [
      `inet h: ${name} ${set.name}`,
      { requests: (name.startsWith('add') ? addElements : deleteElements)(PORT_TABLE, set, [element]), normal },
    ]
    return [
      row('add to', anywhere, elements.port),
      row('add to', nearby, elements.net),
      row('add one to', nearby, elements.one),
      row('delete from', nearby, elements.net),
    ]
  })
