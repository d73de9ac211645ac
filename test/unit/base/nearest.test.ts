import t from 'tap'
import { nearest, suggestion } from '../../../src/base/nearest.js'

const KNOWN = ['mtu', 'route-mode', 'vxlan-port', 'vxlan-vni', 'source']

const ROWS: Readonly<Record<string, readonly [word: string, found: string | undefined]>> = {
  'letters in the wrong order': ['rotue-mode', 'route-mode'],
  'a letter too few': ['vxlan-prt', 'vxlan-port'],
  'a letter too many': ['sources', 'source'],
  'another letter': ['vxlan_vni', 'vxlan-vni'],
  'a known word': ['mtu', 'mtu'],
  'another word': ['frobnicate', undefined],
  'a short word of which nothing is left': ['xyz', undefined],
  nothing: ['', undefined],
}

for (const [name, [word, found]] of Object.entries(ROWS))
  t.test(`the known word that was meant: ${name}`, async (t) => t.equal(nearest(word, KNOWN), found))

t.test('of several that are as close the first is meant, and without any nothing is', async (t) => {
  t.equal(nearest('b', ['bb', 'bc']), 'bb')
  t.equal(nearest('b', []), undefined)
})

t.test('a suggestion is the end of a sentence, or nothing', async (t) => {
  t.equal(suggestion('mut', KNOWN), '; did you mean mtu?')
  t.equal(suggestion('frobnicate', KNOWN), '')
})
