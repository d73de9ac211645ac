/**
 * The order in which contenders take their turn: a round begins with the one after the one that began the round
 * before. So each stands behind each place equally often, and what one leaves to do in the kernel hurts all alike.
 */
export function turn<T>(contenders: readonly T[], round: number): T[] {
  const { length } = contenders
  const first = length === 0 ? 0 : ((round % length) + length) % length
  return [...contenders.slice(first), ...contenders.slice(0, first)]
}
