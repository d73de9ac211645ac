import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { Reconciler } from '../../../src/daemon/reconciler.js'

/** A part that is kept right: counts its runs, notices when two run at once, and fails or waits when told to. */
class Part {
  runs = 0
  atOnce = 0
  most = 0
  readonly starts: number[] = []
  fail: (() => Error | undefined) | undefined
  wait: Promise<void> | undefined
  readonly logged: { msg: string; failures?: number }[] = []
  readonly reconciler: Reconciler

  constructor(gatherMs = 0) {
    const log = pino({ level: 'debug' }, { write: (line: string) => void this.logged.push(JSON.parse(line) as never) })
    this.reconciler = new Reconciler({ name: 'part', log, gatherMs, run: () => this.#run() })
  }

  async #run(): Promise<void> {
    this.runs++
    this.starts.push(performance.now())
    this.most = Math.max(this.most, ++this.atOnce)
    try {
      await (this.wait ?? Promise.resolve())
      const error = this.fail?.()
      if (error !== undefined) throw error
    } finally {
      this.atOnce--
    }
  }

  /** Waits until it has run so often. */
  async until(runs: number): Promise<void> {
    for (let i = 0; this.runs < runs; i++) {
      if (i > 2000) throw new Error(`${this.runs} runs, not ${runs}`)
      await sleep(1)
    }
  }
}

t.test('a burst of triggers is one run', async (t) => {
  const part = new Part(10)
  for (let i = 0; i < 100; i++) part.reconciler.trigger()
  t.equal(part.runs, 0, 'it waits for more')
  await part.until(1)
  await sleep(30)
  t.equal(part.runs, 1)
  await part.reconciler.close()
})

t.test('what is triggered during a run leads to one more, whatever their number', async (t) => {
  const part = new Part()
  let release = (): void => undefined
  part.wait = new Promise((resolve) => (release = resolve))
  part.reconciler.trigger()
  await part.until(1)
  for (let i = 0; i < 50; i++) part.reconciler.trigger()
  release()
  await part.until(2)
  await sleep(20)
  t.equal(part.runs, 2)
  t.equal(part.most, 1, 'never two at once')
  await part.reconciler.close()
})

t.test('what was gathered already waits for nothing, also behind a run', async (t) => {
  const part = new Part(600_000)
  let release = (): void => undefined
  part.wait = new Promise((resolve) => (release = resolve))
  part.reconciler.trigger()
  part.reconciler.trigger(0)
  await part.until(1)
  part.reconciler.trigger(0)
  part.reconciler.trigger()
  release()
  await part.until(2)
  await part.reconciler.close()
})

t.test('triggers that never cease do not keep it from running', async (t) => {
  const part = new Part(20)
  const storm = setInterval(() => part.reconciler.trigger(), 2)
  await sleep(200)
  t.ok(part.runs >= 3, `${part.runs} runs`)
  part.fail = () => new Error('no')
  const before = part.runs
  await sleep(300)
  t.ok(part.runs > before + 1, `${part.runs - before} runs while it fails`)
  clearInterval(storm)
  await part.reconciler.close()
})

t.test('a failed run is tried again, each time after twice as long, until it works', async (t) => {
  const part = new Part()
  let failures = 4
  part.fail = () => (failures-- > 0 ? new Error('not yet') : undefined)
  part.reconciler.trigger()
  await part.until(1)
  await sleep(10)
  t.match(part.reconciler.error, { message: 'not yet' })
  const since = part.reconciler.error?.since
  await part.until(4)
  t.equal(part.reconciler.error?.since, since, 'since the first failure')
  await part.until(5)
  await sleep(10)
  t.equal(part.reconciler.error, undefined)
  const gaps = part.starts.slice(1).map((at, i) => at - part.starts[i]!)
  ;[100, 200, 400, 800].forEach((ms, i) => t.ok(gaps[i]! > ms * 0.95, `${gaps[i]} ms, at least ${ms}`))
  t.match(part.logged.at(-1), { msg: 'works again', failures: 4 })
  await sleep(20)
  t.equal(part.runs, 5, 'and then it rests')
  await part.reconciler.close()
})

t.test('something new is reason enough not to wait for the next try', async (t) => {
  const part = new Part()
  part.fail = () => new Error('no')
  part.reconciler.trigger()
  await part.until(4)
  part.fail = undefined
  const before = performance.now()
  part.reconciler.trigger()
  await part.until(5)
  t.ok(performance.now() - before < 300, 'the next try was 800 ms away')
  await part.reconciler.close()
})

t.test('now() runs at once and answers when it has ended, also when it failed', async (t) => {
  const part = new Part(10_000)
  await part.reconciler.now()
  t.equal(part.runs, 1)
  part.fail = () => new Error('no')
  await part.reconciler.now()
  t.equal(part.runs, 2)
  t.match(part.reconciler.error, { message: 'no' })
  await part.reconciler.close()
})

t.test('now() during a run waits for it and runs once more for all who ask: what it found may be old', async (t) => {
  const part = new Part()
  let release = (): void => undefined
  part.wait = new Promise((resolve) => (release = resolve))
  part.reconciler.trigger()
  await part.until(1)
  const calls = [part.reconciler.now(), part.reconciler.now()]
  await sleep(10)
  t.equal(part.runs, 1)
  release()
  await Promise.all(calls)
  t.equal(part.runs, 2)
  t.equal(part.most, 1)
  await part.reconciler.now()
  t.equal(part.runs, 3)
  await part.reconciler.close()
})

t.test('whatever is called in whatever order, no two runs overlap', async (t) => {
  const part = new Part()
  part.wait = sleep(1)
  const calls: Promise<void>[] = []
  for (let i = 0; i < 100; i++) {
    if (i % 3 === 0) calls.push(part.reconciler.now())
    part.fail = i % 7 === 0 ? () => new Error('no') : undefined
    part.reconciler.trigger()
    part.wait = sleep(i % 4)
    await sleep(i % 3)
  }
  await Promise.all(calls)
  await part.reconciler.close()
  t.equal(part.most, 1)
})

t.test('close() waits for the run under way, and none starts any more', async (t) => {
  const part = new Part()
  let ended = false
  part.wait = sleep(30).then(() => void (ended = true))
  part.fail = () => new Error('no')
  part.reconciler.trigger()
  await part.until(1)
  part.reconciler.trigger()
  await part.reconciler.close()
  t.ok(ended)
  part.reconciler.trigger()
  await part.reconciler.now()
  await sleep(150)
  t.equal(part.runs, 1)
})

t.test('what is thrown, and is no Error, is told as well', async (t) => {
  const part = new Part()
  part.fail = () => 'just text' as unknown as Error
  await part.reconciler.now()
  t.match(part.reconciler.error, { message: 'just text' })
  await part.reconciler.close()
})
