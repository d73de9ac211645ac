import { type ParseArgsConfig } from 'node:util'
import { stringify } from 'yaml'
import { type EffectiveSettings, type ShownSetting, shownSettings } from '../daemon/effective-settings.js'
import { type Plain } from '../daemon/setting-kind.js'
import { nameOf, type Setting, SETTING_KEYS, type SettingKey, SETTINGS } from '../daemon/settings.js'

/** The agent's settings as people see them: options, their help, and what is in force. */

const settingOf = (key: SettingKey): Setting<unknown, unknown> => SETTINGS[key] as Setting<unknown, unknown>

/** Settings as options of the command line. */
export const SETTING_OPTIONS: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(
  SETTING_KEYS.map((key) => {
    const { placeholder, list } = SETTINGS[key].kind
    return [nameOf(key), placeholder === '' ? { type: 'boolean' } : { type: 'string', multiple: list }] as const
  }),
)

/** Options that are no settings: what is written before the explanation, and the explanation. */
type Row = readonly [option: string, help: string]

/** Options that are longer have their explanation on the next line. */
const COLUMN = 31

/** A paragraph of options, aligned. */
export const optionsText = (rows: readonly Row[]): string =>
  rows
    .map(([option, help]) => {
      const start = `  ${option}`
      return start.length < COLUMN ? `${start.padEnd(COLUMN)}${help}\n` : `${start}\n${' '.repeat(COLUMN)}${help}\n`
    })
    .join('')

/** The help of all settings. */
export const settingRows = (): Row[] =>
  SETTING_KEYS.map((key) => {
    const { kind, help } = settingOf(key)
    const many = kind.list ? '; may be repeated' : ''
    return [`--${nameOf(key)} ${kind.placeholder}`.trimEnd(), `${help}${many}${defaultText(settingOf(key))}`]
  })

function defaultText({ kind, fallback, fallbackText }: Setting<unknown, unknown>): string {
  if (fallbackText !== undefined) return ` (default ${fallbackText})`
  const value = fallback({ env: {}, hostname: '', namespace: undefined, source: undefined })
  if (value === undefined || value === false || kind.list) return ''
  return ` (default ${String(kind.write(value))})`
}

/**
 * What is in force, as a file that sets the same: what nobody set stands in comments, so that the file contradicts
 * itself as little as what it was made from.
 */
export function settingsText(effective: EffectiveSettings): string {
  const rows = shownSettings(effective).map((shown): Row => [lineOf(shown), whereFrom(shown)])
  const width = Math.max(...rows.map(([line]) => Math.min(line.length, 60)))
  return rows.map(([line, from]) => `${line.padEnd(width)}  # ${from}\n`).join('')
}

function lineOf({ name, value, origin }: ShownSetting): string {
  const line = `${name}:${value === undefined ? '' : ` ${plainYaml(value)}`}`
  return origin === 'default' ? `# ${line}` : line
}

const plainYaml = (value: Plain): string =>
  stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trimEnd()

const whereFrom = ({ name, origin, place = '' }: ShownSetting): string =>
  origin === 'file' ? place.slice(0, -`: ${name}`.length) : origin === 'default' ? origin : place

/** The same for programs. */
export const settingsJson = (effective: EffectiveSettings): string =>
  `${JSON.stringify(
    Object.fromEntries(
      shownSettings(effective).map(({ name, value = null, origin, place }) => [name, { value, origin, place }]),
    ),
    null,
    2,
  )}\n`
