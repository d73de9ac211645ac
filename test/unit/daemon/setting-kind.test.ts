import t from 'tap'
import {
  autoKind,
  BOOLEAN,
  CIDRS,
  CONFLIST_NAME,
  durationKind,
  integerKind,
  type Kind,
  LINK_PATTERNS,
  LISTEN_ADDRESS,
  NAME,
  oneOf,
  PATH,
  type Plain,
  SOURCE,
} from '../../../src/daemon/setting-kind.js'

/** A kind with values that it takes, as they are written again, and values that it refuses. */
interface Row {
  readonly kind: Kind<never> | Kind<unknown>
  readonly takes: Readonly<Record<string, Plain>>
  readonly refuses: readonly string[]
}

const row = <T>(kind: Kind<T>, takes: Row['takes'], refuses: readonly string[]): Row => ({
  kind: kind as Kind<unknown>,
  takes,
  refuses,
})

const ROWS: Readonly<Record<string, Row>> = {
  path: row(PATH, { '/run/x': '/run/x', './x': './x', 'a b': 'a b' }, ['', 'a\0b', 'a\nb']),
  name: row(NAME, { 'node-1.example.com': 'node-1.example.com', a: 'a' }, ['', 'Node', 'a_b', '-a', 'a'.repeat(254)]),
  'name of a list of plugins': row(CONFLIST_NAME, { '10-netloom.conflist': '10-netloom.conflist' }, [
    ...['', 'x.conf', '../x.conflist', '.conflist', '.x.conflist', 'a/b.conflist'],
  ]),
  'yes or no': row(BOOLEAN, { true: true, false: false }, ['', 'yes', '1', 'TRUE']),
  number: row(integerKind(1, 65_535), { '1': 1, '65535': 65_535, '007': 7 }, [
    '',
    '0',
    '65536',
    '-1',
    '1.5',
    '1e3',
    ' 1',
  ]),
  'number or auto': row(autoKind(576, 9000), { auto: 'auto', '576': 576 }, ['', '575', '9001', 'Auto']),
  word: row(oneOf(['direct', 'vxlan']), { direct: 'direct' }, ['', 'Direct', 'auto', 'constructor']),
  duration: row(durationKind(60_000), { '10s': '10s', '1m': '1m', '60s': '1m', '1500ms': '1500ms', '0s': '0s' }, [
    ...['', '10', 's', '61s', '2m', '-1s', '1h', '1.5s', '99999999999999s'],
  ]),
  links: row(LINK_PATTERNS, { 'eth*': ['eth*'], 'en[op]?': ['en[op]?'] }, ['', 'a b', 'a/b', 'x'.repeat(16)]),
  networks: row(CIDRS, { '10.0.0.1/8': ['10.0.0.0/8'], 'FD00::/8': ['fd00::/8'] }, [
    '',
    '10.0.0.0',
    '10.0.0.0/33',
    'x/8',
  ]),
  source: row(SOURCE, { api: 'api', 'dir:/x:y': 'dir:/x:y' }, ['', 'dir:', 'http://x', '/x', 'API']),
  'listening address': row(LISTEN_ADDRESS, { off: 'off', '127.0.0.1:80': '127.0.0.1:80', '[::1]:80': '[::1]:80' }, [
    '',
    ':80',
    'localhost:80',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '::1:80',
    '300.0.0.1:80',
    '1.2.3.4',
  ]),
}

for (const [name, { kind, takes, refuses }] of Object.entries(ROWS))
  t.test(`a setting may be a ${name}`, async (t) => {
    for (const [text, written] of Object.entries(takes))
      t.same((kind as Kind<unknown>).write(kind.read([text], 'x')), written, text)
    for (const text of refuses)
      t.throws(
        () => kind.read([text], '--x'),
        { code: 'invalid', field: '--x', message: /^--x: '[^]*' is n(ot|either|one)/ },
        text,
      )
  })

t.test('only what takes several values takes several', async (t) => {
  t.throws(() => PATH.read(['a', 'b'], '--x'), { message: '--x: takes one value, and there are 2' })
  t.same(CIDRS.read([], '--x'), [])
  t.same(CIDRS.write(CIDRS.read(['10.0.0.0/8', 'fd00::/8'], '--x')), ['10.0.0.0/8', 'fd00::/8'])
})

t.test('the help says what stands for the value', async (t) => {
  t.same(
    [PATH, BOOLEAN, oneOf(['a', 'b']), oneOf(['a', 'b', 'c', 'd', 'e'])].map(({ placeholder }) => placeholder),
    ['PATH', '', 'a|b', 'WORD'],
  )
})
