import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAIN, PLUGIN } from '../../src/cli/demo/installation.js'
import { type CniAnswer, type CniOutput, type TestContext } from './node.js'

export interface StandaloneCall {
  readonly containerId: string
  readonly config: object
  readonly ifname?: string
  readonly netns?: string
  /** Where other plugins are. */
  readonly path?: string
  readonly args?: string
  /** Milliseconds to wait for other calls. */
  readonly waitMs?: number
  /** Called as soon as it runs. */
  readonly started?: (pid: number) => void
}

/** The real executable with `"agent": "off"`, and leases in a folder of the test's own. */
export class Standalone {
  readonly folder = mkdtempSync(join(tmpdir(), 'netloom-standalone-'))
  readonly stateDir = join(this.folder, 'state')
  /** What stands where `npm install --global` would have put the program. */
  readonly program = join(this.folder, 'netloom')

  constructor(t: TestContext) {
    writeFileSync(this.program, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
    chmodSync(this.program, 0o755)
    t.teardown(() => rmSync(this.folder, { recursive: true, force: true }))
  }

  call(command: string, { containerId, config, ...rest }: StandaloneCall): Promise<CniAnswer> {
    const { ifname = 'eth0', netns = `/run/netns/${containerId}`, path = '/usr/lib/cni', args = '' } = rest
    const env = {
      PATH: process.env['PATH'] ?? '',
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: netns,
      CNI_IFNAME: ifname,
      CNI_PATH: path,
      CNI_ARGS: args,
      NETLOOM_STATE_DIR: this.stateDir,
      ...(rest.waitMs === undefined ? {} : { NETLOOM_TIMEOUT_MS: String(rest.waitMs) }),
    }
    const whole = {
      cniVersion: '1.1.0',
      name: 'alone',
      type: 'netloom',
      agent: 'off',
      program: this.program,
      ...config,
    }
    return new Promise((resolve, reject) => {
      const child = spawn(PLUGIN, [], { env, stdio: ['pipe', 'pipe', 'inherit'] })
      let printed = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
      child.on('error', reject)
      child.on('close', (code) =>
        resolve({ exit: code ?? -1, answer: printed === '' ? undefined : (JSON.parse(printed) as CniOutput) }),
      )
      child.stdin.on('error', () => undefined)
      child.stdin.end(JSON.stringify(whole))
      if (child.pid !== undefined) rest.started?.(child.pid)
    })
  }
}
