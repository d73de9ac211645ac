import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import {
  readDnsLabel,
  readDnsSubdomain,
  readLabelKey,
  readLabelValue,
  readNodeName,
  readPortName,
  readWord,
} from '../../../src/model/name.js'

interface Row {
  readonly read: (place: Cursor) => string
  readonly good: readonly string[]
  readonly bad: readonly string[]
}

const long = (length: number): string => 'a'.repeat(length)

const ROWS: Record<string, Row> = {
  'a DNS label': {
    read: readDnsLabel,
    good: ['web', 'a', '0', 'web-1', long(63)],
    bad: ['', 'Web', '-web', 'web-', 'a.b', 'a_b', 'web\n', long(64), '../etc', 'wéb'],
  },
  'a DNS name': {
    read: readDnsSubdomain,
    good: ['node-1', 'ip-10-0-0-1.eu.internal', `${long(63)}.${long(63)}`, long(253)],
    bad: ['', 'a..b', '.a', 'a.', 'A', 'a/b', long(254)],
  },
  'a name of a node': { read: readNodeName, good: ['ip-10-0-0-1.eu.internal'], bad: ['', 'a b', long(254)] },
  'a port name': {
    read: readPortName,
    good: ['http', 'http2', 'a-b', 'p0', '80a'],
    bad: ['', '80', 'http-', '-http', 'a--b', 'HTTP', long(16)],
  },
  'a label key': {
    read: readLabelKey,
    good: ['app', 'app.kubernetes.io/name', 'constructor', 'A_b.c', long(63), `x/${long(63)}`],
    bad: ['', '/app', 'app/', 'a/b/c', '__proto__', 'App.Io/x', long(64), `${long(254)}/a`],
  },
  'a label value': { read: readLabelValue, good: ['', 'web', 'A_b.c-1', long(63)], bad: ['-a', 'a-', 'a b', long(64)] },
  'a word': { read: readWord, good: ['PreferClose', 'example.com/x'], bad: ['', 'a b', 'a\n'] },
}

for (const [what, { read, good, bad }] of Object.entries(ROWS))
  t.test(what, async (t) => {
    for (const text of good) t.equal(read(new Cursor(text)), text, `takes ${text}`)
    for (const text of bad)
      t.throws(() => read(new Cursor({ x: text }).field('x')), { code: 'invalid', field: 'x' }, `refuses ${text}`)
  })
