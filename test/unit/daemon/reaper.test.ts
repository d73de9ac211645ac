import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { Reaper } from '../../../src/daemon/reaper.js'
import { type Outcome, type Talk } from '../../../src/kernel/talk.js'
import { type Request } from '../../../src/codec/request.js'

/** A conversation that remembers what was asked, and refuses what it is told to. */
class Kernel {
  readonly sent: string[][] = []
  refuse: (operation: string) => NetloomError | undefined = () => undefined

  async pipeline(requests: readonly Request[]): Promise<Outcome[]> {
    this.sent.push(requests.map(({ operation }) => operation))
    await sleep(2)
    return requests.map(({ operation }) => {
      const error = this.refuse(operation)
      return { messages: [], ...(error === undefined ? {} : { error }) }
    })
  }
}

function reaper(refuse?: Kernel['refuse']): { kernel: Kernel; reaper: Reaper } {
  const kernel = new Kernel()
  if (refuse !== undefined) kernel.refuse = refuse
  return { kernel, reaper: new Reaper(kernel as unknown as Talk) }
}

const gone = (name: string) => (operation: string) =>
  operation.includes(name) ? new NetloomError('not-found', 'no such device', { errno: 19 }) : undefined

t.test('one link alone is one request', async (t) => {
  const { kernel, reaper: one } = reaper()
  await one.delete('nlm-a')
  t.same(kernel.sent, [['delete link nlm-a']])
})

t.test('a hundred links at once are marked together and deleted by one request', async (t) => {
  const { kernel, reaper: all } = reaper()
  await Promise.all(Array.from({ length: 100 }, (_, i) => all.delete(`nlm-${i}`)))
  t.equal(kernel.sent.length, 2)
  t.equal(kernel.sent[0]?.length, 100)
  t.match(kernel.sent[1], [/^delete links of group \d+$/])
  t.equal(kernel.sent[1]?.length, 1)
})

t.test('those that come while a batch is under way are the next batch', async (t) => {
  const { kernel, reaper: all } = reaper()
  const first = [all.delete('nlm-a'), all.delete('nlm-b')]
  await sleep(3)
  const second = [all.delete('nlm-c'), all.delete('nlm-d')]
  await Promise.all([...first, ...second])
  t.same(
    kernel.sent.map((batch) => batch.length),
    [2, 1, 2, 1],
  )
})

t.test('a link that is gone already is no error, alone and among others', async (t) => {
  const alone = reaper(gone('nlm-a'))
  await t.resolves(alone.reaper.delete('nlm-a'))
  const among = reaper(gone('nlm-a'))
  await t.resolves(Promise.all([among.reaper.delete('nlm-a'), among.reaper.delete('nlm-b')]))
  t.equal(among.kernel.sent.length, 2)
})

t.test('where all are gone, no group is deleted', async (t) => {
  const { kernel, reaper: all } = reaper(gone('nlm-'))
  await Promise.all([all.delete('nlm-a'), all.delete('nlm-b')])
  t.equal(kernel.sent.length, 1)
})

t.test('a link that cannot be marked is an error for who asked for it, and for no other', async (t) => {
  const refused = new NetloomError('kernel', 'not permitted', { errno: 1 })
  const { reaper: all } = reaper((operation) => (operation.includes('nlm-a') ? refused : undefined))
  const [a, b] = await Promise.allSettled([all.delete('nlm-a'), all.delete('nlm-b')])
  t.match(a, { status: 'rejected', reason: refused })
  t.match(b, { status: 'fulfilled' })
})

t.test('where the group cannot be deleted, all that are in it hear of it', async (t) => {
  const refused = new NetloomError('kernel', 'busy', { errno: 16 })
  const { reaper: all } = reaper((operation) => (operation.startsWith('delete links of') ? refused : undefined))
  const outcomes = await Promise.allSettled([all.delete('nlm-a'), all.delete('nlm-b')])
  t.same(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
})

t.test('after a failure the next batch goes on', async (t) => {
  const kernel = new Kernel()
  const all = new Reaper(kernel as unknown as Talk)
  const pipeline = kernel.pipeline.bind(kernel)
  kernel.pipeline = async () => {
    throw new Error('socket closed')
  }
  await t.rejects(all.delete('nlm-a'), { message: 'socket closed' })
  kernel.pipeline = pipeline
  await t.resolves(all.delete('nlm-b'))
})
