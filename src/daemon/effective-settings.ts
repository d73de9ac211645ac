import { invalid } from '../base/errors.js'
import { OTHER_VARIABLES, VARIABLE_PREFIX } from '../base/names.js'
import { suggestion } from '../base/nearest.js'
import { documents } from '../kube/manifest.js'
import { Cursor } from '../model/cursor.js'
import { contradictionIn } from './contradictions.js'
import { type Kind, type Plain } from './setting-kind.js'
import {
  type AgentSettings,
  type DefaultContext,
  flagOf,
  nameOf,
  type Setting,
  SETTING_KEYS,
  type SettingKey,
  SETTINGS,
  type Surroundings,
  variableOf,
} from './settings.js'

/** Names the file of settings: `--config`, `NETLOOM_CONFIG`. */
export const CONFIG_VARIABLE = `${VARIABLE_PREFIX}CONFIG`

/** Who set a setting; each overrules those behind it. */
export type Origin = 'flag' | 'environment' | 'file' | 'default'

/** What somebody set, as it was written. */
export interface Given {
  readonly origin: Origin
  /** As whoever wrote it finds it again: `--mtu`, `NETLOOM_MTU`, `/etc/netloom/config.yaml:3: mtu`. */
  readonly place: string
  readonly texts: readonly string[]
}

export type GivenSettings = ReadonlyMap<SettingKey, Given>

/** Settings with who set each. */
export interface EffectiveSettings {
  readonly settings: AgentSettings
  readonly given: GivenSettings
}

/**
 * What is in force: flags before variables before the file before defaults.
 * @param given from the strongest to the weakest
 * @throws NetloomError `invalid`, naming where it stands: a value that is none, or two that contradict each other
 */
export function effectiveSettings(surroundings: Surroundings, ...given: readonly GivenSettings[]): EffectiveSettings {
  const merged = new Map([...given].reverse().flatMap((settings) => [...settings]))
  const values: Partial<Record<SettingKey, unknown>> = {}
  for (const key of SETTING_KEYS) {
    const source = values.source as DefaultContext['source']
    values[key] = valueOf(SETTINGS[key] as Setting<unknown, unknown>, merged.get(key), { ...surroundings, source })
  }
  const settings = values as AgentSettings
  const contradiction = contradictionIn({
    settings,
    surroundings,
    isSet: (key) => merged.has(key),
    placeOf: (key) => merged.get(key)?.place ?? flagOf(key),
  })
  if (contradiction !== undefined) throw contradiction
  return { settings, given: merged }
}

const valueOf = <K, D>({ kind, fallback }: Setting<K, D>, given: Given | undefined, context: DefaultContext): K | D =>
  given === undefined ? fallback(context) : kind.read(given.texts, given.place)

/** A flag's value as parsed: a text, all of them where it is repeated, or just that it is there. */
type FlagValue = string | boolean | readonly (string | boolean)[] | undefined

/** What the command line sets; options that are no settings are the command's own. */
export function flagSettings(values: Readonly<Record<string, FlagValue>>): GivenSettings {
  const given = new Map<SettingKey, Given>()
  for (const key of SETTING_KEYS) {
    const value = values[nameOf(key)]
    if (value === undefined) continue
    const texts = [value].flat().map(String)
    given.set(key, { origin: 'flag', place: flagOf(key), texts: separated(SETTINGS[key].kind, texts) })
  }
  return given
}

/** Commas separate values, of a repeated flag as well. */
const separated = ({ list }: Pick<Kind<unknown>, 'list'>, texts: readonly string[]): string[] =>
  list
    ? texts
        .flatMap((text) => text.split(','))
        .map((text) => text.trim())
        .filter((text) => text !== '')
    : [...texts]

/**
 * What the environment sets. A variable that is empty is not set.
 * @throws NetloomError `invalid` for a variable with our prefix that is none of ours, naming the closest that is
 */
export function environmentSettings(env: Surroundings['env']): GivenSettings {
  const known = new Map(SETTING_KEYS.map((key) => [variableOf(key), key]))
  const given = new Map<SettingKey, Given>()
  for (const [name, text = ''] of Object.entries(env)) {
    if (!name.startsWith(VARIABLE_PREFIX) || name === CONFIG_VARIABLE || OTHER_VARIABLES.includes(name)) continue
    const key = known.get(name)
    if (key === undefined) throw unknown(name, 'variable of the agent', [...known.keys(), CONFIG_VARIABLE])
    if (text === '') continue
    given.set(key, { origin: 'environment', place: name, texts: separated(SETTINGS[key].kind, [text]) })
  }
  return given
}

/**
 * What a file sets: one mapping in YAML or JSON.
 * @param path of the file, for errors
 * @throws NetloomError `invalid`, naming file and line: not YAML, no mapping, or a key that is none, with the closest
 */
export function fileSettings(text: string, path: string): GivenSettings {
  const given = new Map<SettingKey, Given>()
  const [document, second] = documents(text)
  if (document === undefined) return given
  if ('message' in document) throw invalid(at(path, document.line), document.message)
  if (second !== undefined) throw invalid(path, 'holds more than one document')
  const known = new Map(SETTING_KEYS.map((key) => [nameOf(key), key]))
  for (const field of fieldsOf(document.value, path)) {
    const name = String(field.key)
    const place = `${at(path, document.position(name).line)}: ${name}`
    const key = known.get(name)
    if (key === undefined) throw unknown(place, 'setting', known.keys(), name)
    given.set(key, { origin: 'file', place, texts: textsOf(field.value, SETTINGS[key].kind, place) })
  }
  return given
}

function fieldsOf(value: unknown, path: string): Cursor[] {
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(path, 'is not a mapping of settings')
  return new Cursor(value).fields()
}

const at = (path: string, line: number | undefined): string => (line === undefined ? path : `${path}:${line}`)

const unknown = (place: string, what: string, known: Iterable<string>, name = place): Error =>
  invalid(place, `is no ${what}${suggestion(name, known)}`)

/** A value of a file as texts; only a setting that takes several may be a list. */
function textsOf(value: unknown, kind: Pick<Kind<unknown>, 'list'>, place: string): string[] {
  if (!Array.isArray(value)) return separated(kind, [plainText(value, place)])
  if (!kind.list) throw invalid(place, 'is a list, and takes one value')
  return value.map((item) => plainText(item, place))
}

function plainText(value: unknown, place: string): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    throw invalid(place, `${new Cursor(value).quoted} is not a plain value`)
  return String(value)
}

/** One setting as people and programs see it. */
export interface ShownSetting {
  readonly name: string
  /** As a file would have it; undefined where it is not set and has no default. */
  readonly value: Plain | undefined
  readonly origin: Origin
  /** Where it stands; undefined for a default. */
  readonly place: string | undefined
}

/** All settings, in the order of the table, with who set them. */
export const shownSettings = ({ settings, given }: EffectiveSettings): ShownSetting[] =>
  SETTING_KEYS.map((key) => {
    const { kind } = SETTINGS[key] as Setting<unknown, unknown>
    const value = settings[key]
    const { origin = 'default', place } = given.get(key) ?? {}
    return { name: nameOf(key), value: value === undefined ? undefined : kind.write(value), origin, place }
  })
