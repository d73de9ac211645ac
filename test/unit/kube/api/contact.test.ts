import t from 'tap'
import { Contact } from '../../../../src/kube/api/contact.js'

t.test('one problem tells since when nobody was reached, and what was heard last', async (t) => {
  const told: string[][] = []
  const contact = new Contact((flaws) => told.push(flaws.map(({ message }) => message)))
  contact.hear()
  t.same(told, [], 'all is well from the start')
  contact.lose(2000, 'refused')
  contact.lose(1000, 'too late')
  contact.lose(3000, 'refused')
  t.same(told, [
    ['cannot be reached since 1970-01-01T00:00:02.000Z: refused'],
    ['cannot be reached since 1970-01-01T00:00:01.000Z: too late'],
    ['cannot be reached since 1970-01-01T00:00:01.000Z: refused'],
  ])
  t.equal(contact.lostSince, 1000)
  contact.hear()
  t.same(told.at(-1), [])
  t.equal(contact.lostSince, undefined)
})

t.test('all that wait hear when somebody is answered', async (t) => {
  const contact = new Contact(() => undefined)
  const waits = [contact.whenHeard(), contact.whenHeard()]
  contact.hear()
  await Promise.all(waits)
  let heard = false
  void contact.whenHeard().then(() => (heard = true))
  await new Promise((resolve) => setImmediate(resolve))
  t.notOk(heard, 'and who waits later waits for the next answer')
})
