import { isIP } from 'node:net'
import { asError, invalid } from '../base/errors.js'
import { type Cidr, formatCidr, parseCidr } from '../base/ip.js'

/**
 * What a setting may be. Flags and variables are texts, and a file's plain values become texts as well, so that there is
 * one way to read a setting wherever it stands.
 */
export interface Kind<T> {
  /** What stands for the value in the help; empty for a flag that takes none. */
  readonly placeholder: string
  /** Whether it takes several values: flags are repeated, a variable has commas, a file a list. */
  readonly list: boolean
  /**
   * Reads one value, or all where it takes several.
   * @param place where it stands, for the error
   * @throws NetloomError `invalid`
   */
  readonly read: (texts: readonly string[], place: string) => T
  /** As it would stand in a file. */
  readonly write: (value: T) => Plain
}

/** A value of a file. */
export type Plain = string | number | boolean | readonly string[]

type Reader<T> = (text: string, place: string) => T

const single = <T>(placeholder: string, read: Reader<T>, write: (value: T) => Plain): Kind<T> => ({
  placeholder,
  list: false,
  read: (texts, place) => {
    const [text = '', ...more] = texts
    if (more.length > 0) throw invalid(place, `takes one value, and there are ${texts.length}`)
    return read(text, place)
  },
  write,
})

const listOf = <T>(placeholder: string, read: Reader<T>, write: (value: T) => string): Kind<readonly T[]> => ({
  placeholder,
  list: true,
  read: (texts, place) => texts.map((text) => read(text, place)),
  write: (values) => values.map(write),
})

const itself = <T>(value: T): T => value

/** A word or path that satisfies a pattern, and what it is in words. */
const matching = (pattern: RegExp, what: string): Reader<string> => {
  return (text, place) => {
    if (!pattern.test(text)) throw invalid(place, `'${text}' is not ${what}`)
    return text
  }
}

export const PATH = single('PATH', matching(/^[^\0\n]+$/, 'a path'), itself)

/** A name of the Kubernetes API: RFC 1123, as a Node or a Namespace has it. */
export const NAME = single(
  'NAME',
  matching(/^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, 'a name (RFC 1123)'),
  itself,
)

/** The file names that runtimes read lists of plugins from. */
export const CONFLIST_NAME = single(
  'FILE',
  matching(/^(?!\.)[\w.-]+\.conflist$/, 'a file name that ends in .conflist'),
  itself,
)

export const BOOLEAN = single(
  '',
  (text, place) => {
    if (text !== 'true' && text !== 'false') throw invalid(place, `'${text}' is neither true nor false`)
    return text === 'true'
  },
  itself,
)

const integer = (least: number, most: number, others = ''): Reader<number> => {
  return (text, place) => {
    const value = Number(text)
    if (!/^\d{1,15}$/.test(text) || value < least || value > most)
      throw invalid(place, `'${text}' is not ${others}a number from ${least} to ${most}`)
    return value
  }
}

export const integerKind = (least: number, most: number): Kind<number> => single('N', integer(least, most), itself)

/** A number, or `auto` for what the surroundings say. */
export const autoKind = (least: number, most: number): Kind<number | 'auto'> => {
  const read = integer(least, most, 'auto or ')
  return single('N|auto', (text, place) => (text === 'auto' ? text : read(text, place)), itself)
}

export const oneOf = <W extends string>(words: readonly W[]): Kind<W> =>
  single(
    words.length > 4 ? 'WORD' : words.join('|'),
    (text, place) => {
      const word = words.find((candidate) => candidate === text)
      if (word === undefined) throw invalid(place, `'${text}' is none of ${words.join(', ')}`)
      return word
    },
    itself,
  )

/** Milliseconds of each unit. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 }

/** Milliseconds, written with a unit, since a number alone leaves open which. */
export const durationKind = (mostMs: number): Kind<number> =>
  single(
    'DURATION',
    (text, place) => {
      const match = /^(\d{1,9})(ms|s|m)$/.exec(text)
      const value = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN)
      if (!(value <= mostMs))
        throw invalid(place, `'${text}' is not a duration up to ${durationText(mostMs)}, as 500ms, 10s or 1m`)
      return value
    },
    durationText,
  )

/** In the largest unit that it is a whole number of. */
export function durationText(ms: number): string {
  const units = Object.entries(UNITS).reverse()
  const [unit, length] = units.find(([, length]) => ms !== 0 && ms % length === 0) ?? ['s', 1000]
  return `${ms / length}${unit}`
}

/** Networks; those whose address has bits behind the prefix are written without. */
export const CIDRS = listOf<Cidr>(
  'CIDR',
  (text, place) => {
    try {
      return parseCidr(text)
    } catch (error) {
      throw invalid(place, asError(error).message, error)
    }
  },
  formatCidr,
)

/** Names of links, where `*` stands for any letters and `?` for one. */
export const LINK_PATTERNS = listOf(
  'PATTERN',
  matching(/^[^\s/:]{1,15}$/, 'the name of a link (15 characters at most), or a pattern of one'),
  itself,
)

/** Where the agent takes everything from. */
export type SourceSetting = { readonly kind: 'directory'; readonly path: string } | { readonly kind: 'api' }

export const SOURCE = single<SourceSetting>(
  'dir:PATH|api',
  (text, place) => {
    if (text === 'api') return { kind: 'api' }
    if (!text.startsWith('dir:') || text === 'dir:') throw invalid(place, `'${text}' is neither dir:PATH nor api`)
    return { kind: 'directory', path: text.slice('dir:'.length) }
  },
  (source) => (source.kind === 'api' ? 'api' : `dir:${source.path}`),
)

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** ADDRESS:PORT, [ADDRESS]:PORT for IPv6, or `off`. */
export const LISTEN_ADDRESS = single<ListenAddress | 'off'>(
  'ADDRESS:PORT|off',
  (text, place) => {
    if (text === 'off') return text
    const match = /^(?:([\d.]+)|\[([\da-fA-F:.]+)\]):(\d{1,5})$/.exec(text)
    const [host, port] = [match?.[1] ?? match?.[2] ?? '', Number(match?.[3])]
    if (isIP(host) === 0 || port < 1 || port > 65_535) throw invalid(place, `'${text}' is neither ADDRESS:PORT nor off`)
    return { host, port }
  },
  (address) => (address === 'off' ? address : listenText(address)),
)

export const listenText = ({ host, port }: ListenAddress): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`
