/** Runs `work` over all items, at most `limit` at a time; the results stand in the order of the items. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, position: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const runner = async (): Promise<void> => {
    while (next < items.length) {
      const position = next++
      results[position] = await work(items[position] as T, position)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, runner))
  return results
}
