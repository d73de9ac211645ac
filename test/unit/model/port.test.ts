import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { readPort, readPortIfSet, readPortOrName, readProtocol, refuseTwins } from '../../../src/model/port.js'

t.test('ports are 1 to 65535', async (t) => {
  for (const port of [1, 80, 65535]) t.equal(readPort(new Cursor(port)), port)
  for (const port of [0, -1, 65536, 1.5, '80', null, NaN])
    t.throws(() => readPort(new Cursor(port)), { code: 'invalid' })
})

t.test('a port that may be left open takes 0 for that', async (t) => {
  t.equal(readPortIfSet(new Cursor(0)), undefined)
  t.equal(readPortIfSet(new Cursor(undefined)), undefined)
  t.equal(readPortIfSet(new Cursor(30080)), 30080)
  t.throws(() => readPortIfSet(new Cursor(65536)))
})

t.test('a target is a number or a name, not a number in quotes', async (t) => {
  t.equal(readPortOrName(new Cursor(80)), 80)
  t.equal(readPortOrName(new Cursor('http')), 'http')
  t.throws(() => readPortOrName(new Cursor('80')), /not a port name/)
})

t.test('protocols are TCP, UDP and SCTP, TCP where none is said', async (t) => {
  for (const protocol of ['TCP', 'UDP', 'SCTP']) t.equal(readProtocol(new Cursor(protocol)), protocol)
  t.equal(readProtocol(new Cursor(null)), 'TCP')
  for (const protocol of ['tcp', 'ICMP', '', 6]) t.throws(() => readProtocol(new Cursor(protocol)), { code: 'invalid' })
})

t.test('the second of two twins is named', async (t) => {
  const places = new Cursor({ ports: ['a', 'b', 'a'] }).field('ports')
  const items = places.list((item) => item.string())
  t.throws(() => refuseTwins(places, items, (item) => item), { field: 'ports[2]', message: 'ports[2]: repeats a' })
  t.doesNotThrow(() => refuseTwins(places, items, () => undefined))
})
