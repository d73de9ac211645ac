/**
 * Runs `work` over all items, at most `limit` at a time; the results stand in the order of the items. After a failure
 * no further item is begun.
 */
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
  const guarded = (): Promise<void> =>
    runner().catch((error: unknown) => {
      next = items.length
      throw error
    })
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, guarded))
  return results
}
