import t from 'tap'
import { matchesGlob } from '../../../src/routes/glob.js'

const CASES: Readonly<Record<string, readonly [yes: readonly string[], no: readonly string[]]>> = {
  eth0: [['eth0'], ['eth00', 'xeth0', 'ETH0']],
  'eth*': [['eth', 'eth0', 'eth0.100'], ['veth0']],
  'en?s*': [['enps0', 'en1s'], ['ens0']],
  'eth[0-3]': [
    ['eth0', 'eth3'],
    ['eth4', 'eth'],
  ],
  'eth[!0]': [['eth1'], ['eth0']],
  'eth[^0]': [['eth^', 'eth0'], ['eth1']],
  'eth0.1+(2)': [['eth0.1+(2)'], ['eth0x1+(2)']],
  'a[b': [['a[b'], ['ab']],
  '*': [['', 'anything'], []],
}

for (const [pattern, [yes, no]] of Object.entries(CASES))
  t.test(`pattern ${pattern}`, async (t) => {
    for (const name of yes) t.ok(matchesGlob(pattern, name), name)
    for (const name of no) t.notOk(matchesGlob(pattern, name), name)
  })
