#!/usr/bin/env node
import { VERSION } from '../daemon/version.js'
import { type Command, EXIT, type ExitCode, ignoreClosedReaders, runCommand } from './command.js'

/** Each command is loaded when it is called: the command line is to start fast. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  agent: async () => (await import('./agent.js')).agentCommand,
  cni: async () => (await import('./cni.js')).cniCommand,
  demo: async () => (await import('./demo.js')).demoCommand,
  status: async () => (await import('./status.js')).statusCommand,
  uninstall: async () => (await import('./uninstall.js')).uninstallCommand,
}

async function help(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()))
  const width = Math.max(...commands.map(({ name }) => name.length))
  return `netloom ${VERSION}: a Kubernetes pod network and service proxy

Usage: netloom COMMAND [OPTION]...

${commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

netloom COMMAND --help tells more of each, with examples.
`
}

async function main([name, ...args]: readonly string[]): Promise<ExitCode> {
  if (name === '--version' || name === 'version') {
    process.stdout.write(`${VERSION}\n`)
    return EXIT.OK
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    ;(name === undefined ? process.stderr : process.stdout).write(await help())
    return name === undefined ? EXIT.USAGE : EXIT.OK
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (load !== undefined) return runCommand(await load(), args)
  process.stderr.write(`netloom: '${name}' is not a command (netloom --help)\n`)
  return EXIT.USAGE
}

ignoreClosedReaders()
process.exitCode = await main(process.argv.slice(2))
