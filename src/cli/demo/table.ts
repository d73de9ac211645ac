import { stripVTControlCharacters } from 'node:util'

const GAP = '  '

/**
 * Columns as wide as their widest cell; a cell of several lines makes its row as high. No heading where `heading` is
 * empty. Colours count as nothing.
 */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return []
  const all = (heading.length === 0 ? rows : [heading, ...rows]).map((row) => row.map((cell) => cell.split('\n')))
  const widths = all.reduce<number[]>((most, row) => {
    row.forEach((lines, i) => (most[i] = Math.max(most[i] ?? 0, ...lines.map(width))))
    return most
  }, [])
  return all.flatMap((row) => {
    const height = Math.max(...row.map(({ length }) => length))
    return Array.from({ length: height }, (_, line) =>
      row
        .map((lines, i) => padded(lines[line] ?? '', widths[i] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
  })
}

const width = (text: string): number => stripVTControlCharacters(text).length

const padded = (text: string, to: number): string => text + ' '.repeat(Math.max(0, to - width(text)))
