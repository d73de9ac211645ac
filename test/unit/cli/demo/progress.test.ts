import t from 'tap'
import { Progress } from '../../../../src/cli/demo/progress.js'

function stream(isTTY: boolean) {
  const written: string[] = []
  return {
    isTTY,
    columns: 20,
    written,
    write: (text: string) => written.push(text) > 0,
  } as never as NodeJS.WriteStream & {
    written: string[]
  }
}

t.test('on a terminal one line is written over, and left clean', async (t) => {
  const terminal = stream(true)
  const progress = new Progress(terminal)
  progress.say('nodes')
  progress.say('a very long line that does not fit')
  progress.clear()
  t.same(terminal.written, ['\r\x1b[Knodes', '\r\x1b[Ka very long line th', '\r\x1b[K'])
})

t.test('elsewhere every step is a plain line', async (t) => {
  const file = stream(false)
  const progress = new Progress(file)
  progress.say('nodes')
  progress.clear()
  t.same(file.written, ['nodes\n'])
})
