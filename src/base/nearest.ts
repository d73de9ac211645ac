/** Most letters that a word may be away from what was meant; more is another word. */
const MOST_EDITS = 3

/** The known word that a misspelt one is closest to; undefined where none is close, or nothing is known. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: { readonly word: string; readonly edits: number } | undefined
  for (const candidate of known) {
    const edits = editsBetween(word, candidate)
    if (edits < (best?.edits ?? Math.min(MOST_EDITS + 1, candidate.length))) best = { word: candidate, edits }
  }
  return best?.word
}

/** `; did you mean X?`, or nothing where no known word is close. */
export function suggestion(word: string, known: Iterable<string>): string {
  const found = nearest(word, known)
  return found === undefined ? '' : `; did you mean ${found}?`
}

/** Letters to insert, delete or replace to come from one word to the other (Levenshtein), a row of the table at a time. */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const [i, letter] of Array.from(from).entries()) {
    const next = [i + 1]
    for (const [j, other] of Array.from(to).entries())
      next.push(Math.min((row[j] ?? 0) + (letter === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    row = next
  }
  return row.at(-1) ?? 0
}
