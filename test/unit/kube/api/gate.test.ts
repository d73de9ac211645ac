import t from 'tap'
import { Gate } from '../../../../src/kube/api/gate.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

t.test('no more run at a time than the gate is wide, in the order in which they came', async (t) => {
  const gate = new Gate(2)
  const begun: number[] = []
  const ends: (() => void)[] = []
  const calls = [0, 1, 2, 3].map((i) =>
    gate.run(() => {
      begun.push(i)
      return new Promise<number>((resolve) => (ends[i] = () => resolve(i)))
    }),
  )
  t.same(begun, [0, 1])
  ends[1]?.()
  await turn()
  t.same(begun, [0, 1, 2])
  ends[0]?.()
  await turn()
  t.same(begun, [0, 1, 2, 3])
  ends[2]?.()
  ends[3]?.()
  t.same(await Promise.all(calls), [0, 1, 2, 3])
})

t.test('a call that fails lets the next one in', async (t) => {
  const gate = new Gate(1)
  await t.rejects(
    gate.run(() => Promise.reject(new Error('no'))),
    { message: 'no' },
  )
  t.equal(await gate.run(async () => 7), 7)
})
