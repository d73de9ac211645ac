import { parseArgs, type ParseArgsConfig } from 'node:util'
import { asError, NetloomError } from '../base/errors.js'
import { suggestion } from '../base/nearest.js'

/** Exit codes that scripts can rely on. */
export const EXIT = {
  OK: 0,
  /** The command ran, and what it looked at is not as it should be. */
  FAILED: 1,
  /** The command line is wrong. */
  USAGE: 2,
  /** The machine, or the agent, cannot do it now. */
  UNAVAILABLE: 3,
  /** Ended by Ctrl-C, as shells count: 128 and the number of SIGINT. */
  INTERRUPTED: 130,
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export type OptionValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** Whoever reads our output and has seen enough (`| head`) is no failure; a full disk is one. */
export function ignoreClosedReaders(): void {
  const ignore = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error
  }
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignore)
}

/** One verb of the command line. */
export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What `--help` prints: usage, options, examples. */
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** How many operands it takes at most. */
  readonly operands: number
  readonly run: (values: OptionValues, operands: readonly string[]) => Promise<ExitCode>
}

/** Runs a command with its own arguments; errors become one line on standard error and an exit code. */
export async function runCommand(command: Command, args: readonly string[]): Promise<ExitCode> {
  try {
    const { values, positionals } = parse(command, args)
    if (values['help'] === true) {
      process.stdout.write(command.help)
      return EXIT.OK
    }
    return await command.run(values, positionals)
  } catch (error) {
    process.stderr.write(`netloom ${command.name}: ${asError(error).message}\n`)
    if (!(error instanceof NetloomError)) return EXIT.FAILED
    return error.field?.startsWith('--') === true
      ? EXIT.USAGE
      : error.code === 'unavailable'
        ? EXIT.UNAVAILABLE
        : EXIT.FAILED
  }
}

function parse(command: Command, args: readonly string[]): { values: OptionValues; positionals: string[] } {
  const help = { type: 'boolean', short: 'h' } as const
  try {
    const options = { ...command.options, help }
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    if (positionals.length > command.operands)
      throw usage(`unexpected argument '${positionals[command.operands] ?? ''}'`)
    return { values, positionals }
  } catch (error) {
    throw usage(`${unknownOption(error, command) ?? asError(error).message} (netloom ${command.name} --help)`)
  }
}

/** An unknown option with the one that may have been meant, instead of Node's own words on operands. */
function unknownOption(error: unknown, { options }: Command): string | undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return undefined
  const option = /^Unknown option '(-[^']+)'/.exec(asError(error).message)?.[1]
  const known = Object.keys(options).map((name) => `--${name}`)
  return option && `unknown option ${option}${suggestion(option, known)}`
}

/** An error in the command line. */
export const usage = (message: string, option = '--'): NetloomError =>
  new NetloomError('invalid', message, { field: option })

/** A text option, or its default. */
export const textOption = (values: OptionValues, name: string, fallback: string): string => {
  const value = values[name]
  return typeof value === 'string' ? value : fallback
}

/** All values of an option that may be repeated. */
export const listOption = (values: OptionValues, name: string): string[] => {
  const list = values[name]
  return Array.isArray(list) ? list.filter((value) => typeof value === 'string') : []
}

/** A whole-number option within bounds, or its default. */
export function numberOption(values: OptionValues, name: string, { fallback, min, max }: NumberBounds): number {
  const text = values[name]
  if (typeof text !== 'string') return fallback
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw usage(`--${name}: '${text}' is not a number from ${min} to ${max}`, `--${name}`)
  return value
}

export interface NumberBounds {
  readonly fallback: number
  readonly min: number
  readonly max: number
}
