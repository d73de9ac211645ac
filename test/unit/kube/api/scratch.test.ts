import t from 'tap'
import { Scratch } from '../../../../src/kube/api/scratch.js'

const gather = (scratch: Scratch, pieces: readonly Uint8Array[], mostBytes = 2 ** 30): Promise<string> => {
  const arriving = async function* (): AsyncGenerator<Uint8Array> {
    yield* pieces
  }
  return scratch.gather(arriving(), { mostBytes, tooMany: () => new Error('too many'), use: String })
}

t.test('pieces become one text, one after another in the same buffer', async (t) => {
  const scratch = new Scratch()
  t.equal(
    await gather(
      scratch,
      ['ab', 'c', ''].map((text) => Buffer.from(text)),
    ),
    'abc',
  )
  t.equal(await gather(scratch, [Buffer.from('x')]), 'x')
  t.equal(scratch.size, 1)
})

t.test('a text may be larger than the buffer, and what is too large is refused', async (t) => {
  const scratch = new Scratch()
  const piece = Buffer.alloc(700_000, 'x')
  t.equal((await gather(scratch, [piece, piece, piece, piece])).length, 2_800_000)
  await t.rejects(gather(scratch, [piece, piece], 1_000_000), { message: 'too many' })
  await gather(scratch, Array<Buffer>(15).fill(piece))
  t.equal(scratch.size, 0, 'and the largest are not kept')
})

t.test('texts that arrive at the same time do not meet', async (t) => {
  const scratch = new Scratch()
  const texts = ['a', 'b', 'c'].map((letter) => Array.from({ length: 50 }, () => Buffer.from(letter)))
  t.same(
    await Promise.all(texts.map((pieces) => gather(scratch, pieces))),
    ['a', 'b', 'c'].map((x) => x.repeat(50)),
  )
  t.equal(scratch.size, 3)
})
