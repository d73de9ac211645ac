import { type Command } from '../../../src/cli/command.js'

/** The options that a command takes, by the name of its file. */
export async function optionsOf(name: string): Promise<string[]> {
  const module = (await import(`../../../src/cli/${name}.js`)) as Record<string, unknown>
  const command = Object.values(module).find((value): value is Command => isCommand(value))
  return Object.keys(command?.options ?? {})
}

const isCommand = (value: unknown): boolean => typeof value === 'object' && value !== null && 'help' in value
