import { type Cursor } from './cursor.js'
import { type Labels, labelOf, readLabels } from './meta.js'
import { readLabelKey, readLabelValue } from './name.js'

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const
export type Operator = (typeof OPERATORS)[number]

export interface Requirement {
  readonly key: string
  readonly operator: Operator
  /** Sorted, without repetition; empty for Exists and DoesNotExist. */
  readonly values: readonly string[]
}

/**
 * A label selector (meta/v1 LabelSelector, or a Service's mapping): all requirements hold. None at all selects
 * everything. Requirements are sorted, so that selectors which say the same in another order are equal.
 */
export type Selector = readonly Requirement[]

/** How each operator judges the value of its key; undefined is a label that is not there. */
const JUDGES: Record<Operator, (value: string | undefined, values: readonly string[]) => boolean> = {
  In: (value, values) => value !== undefined && values.includes(value),
  NotIn: (value, values) => value === undefined || !values.includes(value),
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
}

const TEXTS: Record<Operator, (key: string, values: string) => string> = {
  In: (key, values) => `${key} in (${values})`,
  NotIn: (key, values) => `${key} notin (${values})`,
  Exists: (key) => key,
  DoesNotExist: (key) => `!${key}`,
}

export const selects = (selector: Selector, labels: Labels): boolean =>
  selector.every(({ key, operator, values }) => JUDGES[operator](labelOf(labels, key), values))

/** The selector as kubectl writes it; equal for equal selectors, so it serves as a key. */
export const selectorText = (selector: Selector): string =>
  selector
    .map(({ key, operator, values }) =>
      operator === 'In' && values.length === 1 ? `${key}=${values.join()}` : TEXTS[operator](key, values.join()),
    )
    .join()

/** matchLabels and matchExpressions of a LabelSelector. */
export function readSelector(place: Cursor): Selector {
  place.only(['matchLabels', 'matchExpressions'])
  const labels = readMatchLabels(place.field('matchLabels'))
  return sorted([...labels, ...place.field('matchExpressions').list(readExpression)])
}

/** A mapping of which every pair must be there, as Services have it. */
export const readMatchLabels = (place: Cursor): Selector =>
  sorted(Object.entries(readLabels(place)).map(([key, value]) => ({ key, operator: 'In', values: [value] })))

function readExpression(place: Cursor): Requirement {
  place.only(['key', 'operator', 'values'])
  const key = readLabelKey(place.field('key'))
  const operator = place.field('operator').oneOf(OPERATORS)
  const values = place.field('values').list(readLabelValue)
  const takesValues = operator === 'In' || operator === 'NotIn'
  if (takesValues !== values.length > 0)
    throw place
      .field('values')
      .error(takesValues ? `is empty, ${operator} needs a value` : `must be empty for ${operator}`)
  return { key, operator, values: [...new Set(values)].sort() }
}

const byText = (a: Requirement, b: Requirement): number => {
  const [left, right] = [selectorText([a]), selectorText([b])]
  return left < right ? -1 : left > right ? 1 : 0
}

/** In order and each once. */
const sorted = (requirements: Requirement[]): Selector =>
  requirements.sort(byText).filter((requirement, i, all) => {
    const before = all[i - 1]
    return before === undefined || byText(before, requirement) !== 0
  })
