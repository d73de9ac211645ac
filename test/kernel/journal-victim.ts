/**
 * Runs the script of test/support/journal-script.ts and kills itself within a system call, as `kill -9` may. Arguments:
 * the path of the journal, the number of the call. Says each step on standard output.
 */
import { writeSync } from 'node:fs'
import { Journal } from '../../src/ipam/journal-io.js'
import { mortalDisk } from '../support/disk.js'
import { runScript, SCRIPT_OPTIONS } from '../support/journal-script.js'

const [, , path = '', step = ''] = process.argv

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('a killed process does not come here')
}

const { disk } = mortalDisk(Number(step), 'within', die)
runScript(new Journal(path, { ...SCRIPT_OPTIONS, disk }), (line) => writeSync(1, `${line}\n`))
