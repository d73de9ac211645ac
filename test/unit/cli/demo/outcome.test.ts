import t from 'tap'
import { failureOf, parseAnswer } from '../../../../src/cli/demo/outcome.js'

t.test('an answer is a line of JSON with all that is asked for', async (t) => {
  const answer = { pod: 'default/web-0', node: 'node-1', port: 80, client: '10.244.1.2' }
  t.same(parseAnswer(`${JSON.stringify(answer)}\n`), answer)
  for (const line of ['', 'HTTP/1.1 200 OK', 'null', '[]', '{"pod":"a"}', JSON.stringify({ ...answer, port: '80' })])
    t.equal(parseAnswer(line), undefined, line)
})

t.test('errors of sockets have words', async (t) => {
  const rows = {
    ECONNREFUSED: 'refused',
    EHOSTUNREACH: 'unreachable',
    ECONNRESET: 'reset',
    ETIMEDOUT: 'timeout',
    EIO: 'bad answer',
  }
  for (const [code, failure] of Object.entries(rows))
    t.equal(failureOf(Object.assign(new Error(code), { code })), failure, code)
})
