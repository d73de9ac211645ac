/** What separates two keyed collections. */
export interface Difference<D, A> {
  added: [key: string, desired: D][]
  changed: [key: string, desired: D, actual: A][]
  removed: [key: string, actual: A][]
}

/** The one keyed diff: what to add, change and remove so that `actual` becomes `desired`. */
export function diff<D, A>(
  desired: ReadonlyMap<string, D>,
  actual: ReadonlyMap<string, A>,
  same: (desired: D, actual: A) => boolean,
): Difference<D, A> {
  const difference: Difference<D, A> = { added: [], changed: [], removed: [] }
  for (const [key, want] of desired) {
    const have = actual.get(key)
    if (have === undefined) difference.added.push([key, want])
    else if (!same(want, have)) difference.changed.push([key, want, have])
  }
  for (const [key, have] of actual) if (!desired.has(key)) difference.removed.push([key, have])
  return difference
}

/** The items as a map by their key; the last of several with one key wins. */
export const keyBy = <T>(items: Iterable<T>, key: (item: T) => string): Map<string, T> => {
  const map = new Map<string, T>()
  for (const item of items) map.set(key(item), item)
  return map
}
