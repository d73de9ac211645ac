import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { VERSION } from '../../../src/daemon/version.js'
import { ROOT } from '../../support/cni-exec.js'

t.test('the version is that of the package', async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  t.equal(VERSION, version)
  t.match(VERSION, /^\d+\.\d+\.\d+/)
})
