import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

// A script is not compiled, so it stands in scripts/ and not beside the compiled test.
const script = new URL('../../../../scripts/test.mjs', import.meta.url)
const { parseArguments } = (await import(script.href)) as {
  parseArguments: (args: string[]) => { suites: string[]; words: string[] }
}

const SUITES = ['unit', 'bytes', 'kernel']
const ARGUMENTS: { name: string; args: string[]; words: string[] }[] = [
  { name: 'no word', args: [], words: [] },
  { name: 'words', args: ['route', 'kernel/link'], words: ['route', 'kernel/link'] },
  { name: 'a suite said again is a word', args: ['kernel'], words: ['kernel'] },
  { name: 'the path of a compiled file', args: ['./dist/test/unit/x.test.js'], words: ['test/unit/x.test.ts'] },
  { name: 'the path of a source', args: ['test/unit/x.test.ts'], words: ['test/unit/x.test.ts'] },
]

for (const { name, args, words } of ARGUMENTS)
  t.test(`arguments: ${name}`, async (test) => {
    test.same(parseArguments([...SUITES, ...args]), { suites: SUITES, words })
  })

const print = (...lines: string[]): string => `console.log(${JSON.stringify(lines.join('\n'))})\n`
const PASSING = print('TAP version 14', 'ok 1 - one', 'ok 2 - two', '1..2')
const FAILING = print('ok 1 - one', 'not ok 2 - two', '1..2') + 'process.exitCode = 1'
const SKIPPING = print('ok 1 - one # SKIP no nft here', '1..1')

/** A tree of compiled tests. */
const TREE = {
  unit: { 'route.test.js': PASSING, 'link.test.js': PASSING, 'fail.test.js': FAILING, 'notes.js': 'throw new Error()' },
  bytes: { 'route.test.js': PASSING, 'skip.test.js': SKIPPING },
  golden: {},
}

/** Runs the runner over the tree. */
function run(test: Test, args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const cwd = test.testdir({ 'package.json': '{ "type": "module" }', dist: { test: TREE } })
  return new Promise((resolve) => {
    execFile(process.execPath, [fileURLToPath(script), ...args], { cwd }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    })
  })
}

const RUNS: { name: string; args: string[]; last: string; code: number; says?: RegExp }[] = [
  {
    name: 'suites are added up, skipped tests listed with their reasons',
    args: ['unit', 'bytes', 'link', 'bytes/'],
    last: '4 passed, 0 failed, 1 skipped',
    code: 0,
    says: /\nskipped:\n {2}test\/bytes\/skip\.test\.ts > one: no nft here\n/,
  },
  {
    name: 'a failure is told and is an error',
    args: ['unit'],
    last: '5 passed, 1 failed, 0 skipped',
    code: 1,
    says: /^FAIL test\/unit\/fail\.test\.ts > two\n/,
  },
  {
    name: 'files that cannot share a process run each by itself',
    args: ['--together', 'unit', 'bytes'],
    last: '7 passed, 1 failed, 1 skipped',
    code: 1,
    says: /^FAIL test\/unit\/fail\.test\.ts > two\n/,
  },
  {
    name: 'after all that npm test runs, the suites that it leaves out are named',
    args: ['unit', 'golden', 'bytes', 'native', 'kernel', 'e2e'],
    last: '7 passed, 1 failed, 1 skipped',
    code: 1,
    says: /\nnot among these: test\/cluster \(npm run test:cluster\)\n/,
  },
  {
    name: 'a word in no path is an error',
    args: ['unit', 'bytes', 'wrong'],
    last: '0 passed, 0 failed, 0 skipped',
    code: 1,
    says: /no test file has wrong in its path/,
  },
  { name: 'no test at all is an error', args: ['golden', 'e2e'], last: '0 passed, 0 failed, 0 skipped', code: 1 },
]

t.jobs = 2
for (const { name, args, last, code, says } of RUNS)
  t.test(name, { buffered: true }, async (test) => {
    const result = await run(test, args)
    test.equal(result.stdout.trimEnd().split('\n').at(-1), last)
    test.equal(result.code, code)
    if (says !== undefined) test.match(result.stdout, says)
  })

t.test('without a suite the runner says how it is used', async (test) => {
  const { code, stderr } = await run(test, ['route'])
  test.equal(code, 2)
  test.match(stderr, /^usage: /)
})
