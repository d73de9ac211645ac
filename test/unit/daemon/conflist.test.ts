import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { conflistText, isOurConflist, listsBefore } from '../../../src/daemon/conflist.js'
import { ROOT } from '../../support/cni-exec.js'

const DEFAULTS = { socket: '/run/netloom/agent.sock', cniMode: 'bridge', cniWait: 10_000 } as const

interface List {
  readonly plugins: readonly Readonly<Record<string, unknown>>[]
}

const pluginOf = (text: string) => (JSON.parse(text) as List).plugins[0]

t.test('by default it is the one of cni-conf, marked as made by an agent', async (t) => {
  const shipped = readFileSync(join(ROOT, 'cni-conf/10-netloom.conflist'), 'utf8')
  const text = conflistText(DEFAULTS)
  const { 'netloom.dev/managed-by': mark, ...list } = JSON.parse(text) as Record<string, unknown>
  t.strictSame(list, JSON.parse(shipped))
  t.equal(mark, 'netloom')
  t.match(text, /^\{\n {2}"cniVersion"[^]*\}\n$/, 'people can read it')
})

t.test('what was chosen is in it', async (t) => {
  const plugin = pluginOf(conflistText({ socket: '/s', cniMode: 'ptp', cniWait: 60_000 }))
  t.match(plugin, { type: 'netloom', mode: 'ptp', agentSocket: '/s', agentWait: '1m' })
})

t.test('only what an agent made is ours', async (t) => {
  t.equal(isOurConflist(conflistText({ ...DEFAULTS, cniMode: 'ptp' })), true)
  const foreign = [
    readFileSync(join(ROOT, 'cni-conf/10-netloom.conflist'), 'utf8'),
    ...['', '{', 'null', '[]', '1', '{"netloom.dev/managed-by": "somebody"}', '{"netloom.dev/managed-by": true}'],
  ]
  for (const text of foreign) t.equal(isOurConflist(text), false, text.slice(0, 40))
})

t.test('a runtime takes the first configuration by the bytes of its name', async (t) => {
  const names = [
    '9-b.conflist',
    '10-a.conf',
    '10-netloom.conflist',
    '10-z.json',
    'A.conflist',
    '00-x.txt',
    '05-x.json',
    '10-m',
  ]
  t.strictSame(listsBefore(names, '10-netloom.conflist'), ['05-x.json', '10-a.conf'])
  t.strictSame(listsBefore([], 'x.conflist'), [])
})
