import { createLog } from '../base/log.js'
import { DEFAULT_STATE_DIR } from '../base/names.js'
import { asNetloomError } from '../base/errors.js'
import { cniError } from '../cni/error.js'
import { type RawRequest, versionForErrors } from '../cni/request.js'
import { answerStandalone } from '../daemon/standalone.js'
import { type Command, EXIT, type ExitCode, numberOption, type OptionValues, textOption } from './command.js'

/** Some three hundred other calls, one after another; the executable itself would wait as long for an agent. */
const WAIT = { fallback: 60_000, min: 1, max: 3_600_000 }

const HELP = `Usage: netloom cni [--state-dir PATH] [--wait MS]

Answers one CNI call without an agent: variables CNI_* and a network configuration on standard input, as the CNI
specification has it. The executable /opt/cni/bin/netloom starts it where the configuration says "agent": "off", for
Podman, nerdctl and scripts. Refuses while an agent runs on the same leases.

  --wait MS         wait so long for other calls (default \$NETLOOM_TIMEOUT_MS, else ${WAIT.fallback})
  --state-dir PATH  where leases are kept (default \$NETLOOM_STATE_DIR, else ${DEFAULT_STATE_DIR})
  -h, --help        this text

Exit codes: 0 done, 1 an error of the specification on standard output.

Examples:
  netloom cni < storage.conf
  netloom cni --state-dir /run/user/1000/netloom --wait 5000 < storage.conf
`

export const cniCommand: Command = {
  name: 'cni',
  summary: 'answer one CNI call without an agent',
  help: HELP,
  operands: 0,
  options: { 'state-dir': { type: 'string' }, wait: { type: 'string' } },
  run,
}

/** A network configuration takes some hundred bytes; the executable refuses more than this as well. */
const MAX_CONFIG_BYTES = 1 << 20

async function run(values: OptionValues): Promise<ExitCode> {
  const stateDir = textOption(values, 'state-dir', process.env['NETLOOM_STATE_DIR'] ?? DEFAULT_STATE_DIR)
  const raw = requestOf(process.env, await standardInput())
  const waitMs = numberOption({ wait: process.env['NETLOOM_TIMEOUT_MS'] || undefined, ...values }, 'wait', WAIT)
  const log = createLog('error', 'netloom')
  try {
    const { exit, output } = await answerStandalone({ ...raw }, { stateDir, waitMs, log })
    process.stdout.write(output)
    return exit === 0 ? EXIT.OK : EXIT.FAILED
  } catch (error) {
    process.stdout.write(`${JSON.stringify(cniError(asNetloomError(error), versionForErrors(raw)))}\n`)
    return EXIT.FAILED
  }
}

/** The call as the executable would have told it to an agent. */
export const requestOf = (environment: NodeJS.ProcessEnv, config: Uint8Array): RawRequest => ({
  command: environment['CNI_COMMAND'],
  containerId: environment['CNI_CONTAINERID'],
  netns: environment['CNI_NETNS'],
  ifname: environment['CNI_IFNAME'],
  args: environment['CNI_ARGS'],
  path: environment['CNI_PATH'],
  config,
})

async function standardInput(): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MAX_CONFIG_BYTES) break
  }
  return Buffer.concat(chunks)
}
