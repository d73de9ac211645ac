import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Journal } from '../../src/ipam/journal-io.js'
import { NetloomError } from '../../src/base/errors.js'
import { replaced } from '../support/faults.js'
import { nft, type TestContext } from '../support/node.js'
import { everyStep, isError, UndoScene, WAYS } from '../support/undo.js'

/** A DEL that fails is called again, and whoever fails to undo an ADD leaves the rest to a DEL. */

/** A place for filters with none in it may be somebody else's, so it stays until the next one who is limited goes. */
const EMPTY_PLACE = /^\+ qdisc clsact ffff: dev netloom0 /

for (const [name, { config, skip = false }] of Object.entries(WAYS)) {
  t.test(`${name}: a DEL that fails at any step is done by the next one`, { skip }, async (t) => {
    const scene = await UndoScene.raise(t, config)
    const steps = await everyStep(
      scene,
      'DEL',
      async (answer, { text }) => {
        t.ok(answer.exit === 0 || isError(answer), `${text}: ${JSON.stringify(answer)}`)
        await scene.expect(0, 'DEL')
        t.strictSame(await scene.remainsInTheEnd(), [], text)
      },
      { prepare: () => scene.expect(0, 'ADD') },
    )
    t.ok(steps > 5, `${steps} steps`)
  })

  t.test(`${name}: where an ADD cannot even be undone, a DEL does it later`, { skip }, async (t) => {
    const scene = await UndoScene.raise(t, config)
    await everyStep(
      scene,
      'ADD',
      async (answer, { text }) => {
        t.ok(answer.exit === 0 || isError(answer), `${text}: ${JSON.stringify(answer)}`)
        await scene.expect(0, 'DEL')
        const remains = await scene.remainsInTheEnd()
        t.strictSame(
          remains.filter((line) => !EMPTY_PLACE.test(line)),
          [],
          text,
        )
      },
      { lasting: true, stride: 4 },
    )
  })
}

t.test('somebody else changes the tables at any step of a DEL: nothing of the container comes back', async (t) => {
  const scene = await UndoScene.raise(t, WAYS['bridge']?.config ?? {})
  await everyStep(
    scene,
    'DEL',
    async (answer, { text }) => {
      t.equal(answer.exit, 0, text)
      await sleep(100)
      t.strictSame(scene.remains(), [], text)
    },
    { prepare: () => scene.expect(0, 'ADD'), instead: meddle },
  )
})

/** As a firewall that reloads its rules does. */
function meddle(): void {
  nft('delete', 'table', 'inet', 'netloom-hostports')
}

t.test('the namespace goes at any step of an ADD: a DEL leaves nothing', async (t) => {
  const scene = await UndoScene.raise(t, WAYS['bridge']?.config ?? {})
  await everyStep(
    scene,
    'ADD',
    async (answer, { text }) => {
      t.ok(answer.exit === 0 || (answer.answer?.details ?? '') !== '', `${text}: ${JSON.stringify(answer)}`)
      await scene.expect(0, 'DEL')
      t.strictSame(scene.remains(), [], text)
      scene.node.createPod('a')
    },
    { stride: 5, instead: () => scene.node.deletePod('a') },
  )
})

/** The journal refuses to be written, until the answer is called. */
function fillDisk(t: TestContext, method: 'add' | 'remove'): () => void {
  const own = replaced(t, Journal.prototype, method)
  Journal.prototype[method] = () => {
    throw new NetloomError('io', 'write journal: no space left on device (ENOSPC)', { errno: 28 })
  }
  return () => (Journal.prototype[method] = own)
}

for (const [name, { config, skip = false }] of Object.entries(WAYS))
  t.test(`${name}: a disk that is full lets nobody in, and those who leave leave later`, { skip }, async (t) => {
    const scene = await UndoScene.raise(t, config)
    const first = fillDisk(t, 'add')
    t.match(await scene.call('ADD'), { exit: 1, answer: { code: 5, details: /ENOSPC/ } })
    first()
    t.strictSame(scene.remains(), [])
    await scene.expect(0, 'ADD')
    const second = fillDisk(t, 'remove')
    t.match(await scene.call('DEL'), { exit: 1, answer: { code: 5, details: /ENOSPC/ } })
    second()
    await scene.expect(0, 'DEL')
    t.strictSame(scene.remains(), [])
  })
