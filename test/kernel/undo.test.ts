import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { everyStep, isError, UndoScene, WAYS } from '../support/undo.js'

/** Whatever fails in the middle of an ADD, at whichever step: what was made before is taken back. */

/** The next step's ADD shows that the one before left nothing in its way; a whole one is tried now and then. */
const WHOLE_EVERY = 7

for (const [name, { config, skip = false }] of Object.entries(WAYS))
  t.test(`${name}: an ADD that fails at any step leaves nothing, and the next one succeeds`, { skip }, async (t) => {
    const scene = await UndoScene.raise(t, config)
    const steps = await everyStep(scene, 'ADD', async (answer, step) => {
      if (answer.exit !== 0) {
        t.ok(isError(answer), `${step.text}: ${JSON.stringify(answer)}`)
        t.strictSame(scene.remains(), [], step.text)
        if (step.number % WHOLE_EVERY !== 0) return
        await scene.expect(0, 'ADD')
      }
      await scene.expect(0, 'CHECK')
      await scene.expect(0, 'DEL')
      t.strictSame(scene.remains(), [], `after DEL, ${step.text}`)
    })
    t.ok(steps > 20, `${steps} steps`)
    await scene.expect(0, 'DEL')
    await sleep(100)
    t.strictSame(scene.remains(), [], 'nor does it come later')
  })
