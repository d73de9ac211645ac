import { type Target, targetKey } from './frontend.js'
import { type Placed } from './state.js'

/**
 * Puts endpoints into slots so that as few as possible move: those that stay keep theirs, new ones fill the gaps,
 * and what gaps are left are filled from the end.
 * @param wanted each once
 */
export function place(before: Placed['targets'], wanted: readonly Target[]): Placed['targets'] {
  // As at a start, for all: of 100,000 endpoints no second list is kept.
  if (before.length === 0) return wanted
  const left = new Map(wanted.map((target) => [targetKey(target), target]))
  const slots: (Placed['targets'][number] | undefined)[] = before.map((target) => {
    const key = targetKey(target)
    return left.delete(key) ? target : undefined
  })
  const added = [...left.values()]
  for (let slot = 0; slot < slots.length && added.length > 0; slot++) slots[slot] ??= added.shift()
  slots.push(...added)
  for (let slot = 0; slot < slots.length; slot++) {
    while (slots.length > slot && slots.at(-1) === undefined) slots.pop()
    if (slot < slots.length) slots[slot] ??= slots.pop()
  }
  return slots.filter((target) => target !== undefined)
}
