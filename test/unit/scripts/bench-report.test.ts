import t from 'tap'
import { figure } from '../../../scripts/bench/figure.js'
import { describeMachine } from '../../../scripts/bench/machine.js'
import { jsonLine, readable, type Report } from '../../../scripts/bench/report.js'

const goal = { of: 'ratio', bound: 'most', limit: 0.1 } as const
const report: Report = {
  bench: 'cni',
  machine: describeMachine(),
  figures: [
    figure({ name: 'reached', unit: 'ms', value: 4, peer: { name: 'bridge', value: 50 }, goal }),
    figure({ name: 'not reached', unit: 'ms', value: 40, peer: { name: 'bridge', value: 50 }, goal }),
    figure({ name: 'alone', unit: 'bytes', value: 700_000 }),
    figure({ name: 'not there', unit: 'ms', value: 4, peer: { name: 'other', value: undefined }, goal }),
  ],
}

t.test('the line for programs is one line, and holds the report', (t) => {
  const line = jsonLine(report)
  t.equal(line.indexOf('\n'), line.length - 1)
  t.strictSame(JSON.parse(line), report)
  t.end()
})

t.test('the table for people has a row for each figure', (t) => {
  const text = readable(report)
  t.match(text, /^reached +4 ms +50 ms +0\.08 +ratio <= 0\.1: met +bridge$/m)
  t.match(text, /^not reached +40 ms +50 ms +0\.8 +ratio <= 0\.1: MISSED +bridge$/m)
  t.match(text, /^alone +700000 bytes$/m)
  t.match(text, /^not there +4 ms +ratio <= 0\.1: not judged +other \(missing\)$/m)
  t.end()
})

t.test('the machine is described by what figures depend on', (t) => {
  const { cpu, cores, memory, kernel, node, load } = describeMachine()
  t.ok(cpu.length > 0 && cores > 0 && memory > 0 && load >= 0)
  t.match(kernel, /^\d+\.\d+/)
  t.equal(node, process.version)
  t.end()
})
