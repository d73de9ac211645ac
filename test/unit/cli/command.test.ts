import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import {
  type Command,
  EXIT,
  listOption,
  numberOption,
  type OptionValues,
  runCommand,
  textOption,
  usage,
} from '../../../src/cli/command.js'
import { printed } from './printed.js'

const COMMAND: Command = {
  name: 'try',
  summary: 'tries',
  help: 'Usage: netloom try\n',
  operands: 1,
  options: { text: { type: 'string' }, list: { type: 'string', multiple: true }, yes: { type: 'boolean' } },
  run: async () => EXIT.OK,
}

/** Runs a command and catches what it prints. */
async function run(command: Partial<Command>, ...args: readonly string[]) {
  const { result, out, err } = await printed(() => runCommand({ ...COMMAND, ...command }, args))
  return { code: result, out, err }
}

t.test('a command gets its options and operands', async (t) => {
  let seen: unknown
  const { code } = await run(
    {
      run: async (values, operands) => {
        seen = [{ ...values }, operands]
        return EXIT.FAILED
      },
    },
    ...['--text', 'a', '--list', '1', 'operand', '--list=2', '--yes'],
  )
  t.equal(code, EXIT.FAILED)
  t.same(seen, [{ text: 'a', list: ['1', '2'], yes: true }, ['operand']])
})

t.test('--help and -h print the help on standard output and do nothing', async (t) => {
  for (const option of ['--help', '-h']) {
    const { code, out, err } = await run({ run: async () => t.fail('was run') as never }, option)
    t.same([code, out, err], [EXIT.OK, 'Usage: netloom try\n', ''])
  }
})

const WRONG: Readonly<Record<string, readonly [args: readonly string[], message: RegExp]>> = {
  'an unknown option': [['--nope'], /--nope/],
  'an unknown letter': [['-x'], /-x/],
  'an option without its value': [['--text'], /--text/],
  'a value for an option that takes none': [['--yes=no'], /--yes/],
  'one operand too many': [['a', 'b'], /unexpected argument 'b'/],
}

for (const [name, [args, message]] of Object.entries(WRONG))
  t.test(`wrong usage, with the way to the help: ${name}`, async (t) => {
    const { code, out, err } = await run({}, ...args)
    t.equal(code, EXIT.USAGE)
    t.match(err, message)
    t.match(err, /^netloom try: .*netloom try --help\)\n$/)
    t.equal(out, '')
  })

const FAILURES: Readonly<Record<string, readonly [error: unknown, code: number]>> = {
  'a wrong option': [usage("--mtu: 'x' is no number", '--mtu'), EXIT.USAGE],
  'input that is malformed': [new NetloomError('invalid', 'spec.x: is odd', { field: 'spec.x' }), EXIT.FAILED],
  'no agent': [new NetloomError('unavailable', 'no agent answers'), EXIT.UNAVAILABLE],
  'a refusal of the kernel': [new NetloomError('kernel', 'not permitted', { errno: 1 }), EXIT.FAILED],
  'an error of ours': [new TypeError('x is not a function'), EXIT.FAILED],
  'a text': ['just text', EXIT.FAILED],
}

for (const [name, [error, code]] of Object.entries(FAILURES))
  t.test(`exit code ${code}, and one line that says why: ${name}`, async (t) => {
    const outcome = await run({
      run: async () => {
        throw error
      },
    })
    t.equal(outcome.code, code)
    t.equal(outcome.err, `netloom try: ${error instanceof Error ? error.message : String(error)}\n`)
  })

t.test('options have defaults', async (t) => {
  const values: OptionValues = { text: 'a', list: ['b', 'c'], yes: true }
  t.equal(textOption(values, 'text', 'z'), 'a')
  t.equal(textOption(values, 'other', 'z'), 'z')
  t.equal(textOption(values, 'yes', 'z'), 'z')
  t.same(listOption(values, 'list'), ['b', 'c'])
  t.same(listOption(values, 'text'), [])
})

t.test('numbers are whole and within bounds', async (t) => {
  const bounds = { fallback: 3, min: 1, max: 16 }
  t.equal(numberOption({}, 'nodes', bounds), 3)
  for (const [text, number] of [
    ['1', 1],
    ['16', 16],
    ['007', 7],
  ] as const)
    // prettier-ignore
    t.equal(numberOption({ nodes: text }, 'nodes', bounds), number)
  for (const text of ['0', '17', '-1', '1.5', '1e1', '0x2', '', ' 2', 'x'])
    t.throws(() => numberOption({ nodes: text }, 'nodes', bounds), {
      code: 'invalid',
      field: '--nodes',
      message: /--nodes: '.*' is not a number from 1 to 16/,
    })
})
