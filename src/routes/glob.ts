/** Whether a name is as a shell's pattern says: `*` any characters, `?` one, `[a-c]` one of them, `[!a]` another one. */
export function matchesGlob(pattern: string, name: string): boolean {
  return new RegExp(`^${pattern.replace(TOKEN, translate)}$`, 'u').test(name)
}

const TOKEN = /\[!?[^\]/]+\]|[^]/gu

function translate(token: string): string {
  if (token === '*') return '.*'
  if (token === '?') return '.'
  if (token.length === 1) return token.replace(/[\\^$.|+()[\]{}]/, '\\$&')
  const [negated, inner] = token[1] === '!' ? ['^', token.slice(2, -1)] : ['', token.slice(1, -1)]
  return `[${negated}${inner.replace(/[\\^[\]]/g, '\\$&')}]`
}
