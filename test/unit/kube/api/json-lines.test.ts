import t from 'tap'
import { JsonLines } from '../../../../src/kube/api/json-lines.js'

const TEXT = '{"a":"ä€😀"}\n\n[1,2]\n"x"\n'
const VALUES = [{ a: 'ä€😀' }, [1, 2], 'x']

t.test('lines may be cut anywhere, also within a character', async (t) => {
  const bytes = Buffer.from(TEXT)
  for (let size = 1; size <= bytes.length; size++) {
    const lines = new JsonLines()
    const values: unknown[] = []
    for (let at = 0; at < bytes.length; at += size) values.push(...lines.push(bytes.subarray(at, at + size)))
    t.same(values, VALUES, `in pieces of ${size}`)
    t.equal(lines.pending, 0)
  }
})

t.test('what has not ended is kept and counted', async (t) => {
  const lines = new JsonLines()
  t.same(lines.push(Buffer.from('1\n{"half')), [1])
  t.equal(lines.pending, 6)
  t.same(lines.push(Buffer.from('":2}\n')), [{ half: 2 }])
})

t.test('a line that is no JSON, or has no end, is refused', async (t) => {
  t.throws(() => new JsonLines().push(Buffer.from('{"a"\n')), { code: 'invalid', message: /no JSON/ })
  const lines = new JsonLines(10)
  lines.push(Buffer.from('"12345678'))
  t.throws(() => lines.push(Buffer.from('90')), { code: 'invalid', message: /more than 10 bytes/ })
})
