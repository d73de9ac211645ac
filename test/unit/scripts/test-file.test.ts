import t from 'tap'

interface Outcome {
  passed: number
  failures: { name: string; detail: string }[]
  skips: { name: string; reason: string }[]
  output: string
}

interface Options {
  cwd: string
  seconds: number
  env: NodeJS.ProcessEnv
  grace: number
}

// A script is not compiled, so it stands in scripts/ and not beside the compiled test.
const script = new URL('../../../../scripts/test-file.mjs', import.meta.url)
const { runTestFile } = (await import(script.href)) as {
  runTestFile: (command: string[], options: Options) => Promise<Outcome>
}

/** A statement that prints lines. */
const print = (...lines: string[]): string => `console.log(${JSON.stringify(lines.join('\n'))})\n`
const PASSING = print('TAP version 14', 'ok 1 - one', 'ok 2 - two', '1..2')

/** What a test file does, what is counted, and what is told of it. */
const CASES: {
  name: string
  text: string
  counts: [passed: number, failed: number, skipped: number]
  says?: RegExp
  seconds?: number
}[] = [
  { name: 'passing assertions', text: PASSING, counts: [2, 0, 0] },
  {
    name: 'a subtest counts by what it holds',
    text: print('# Subtest: outer', '    ok 1 - one', '    ok 2 - two', '    1..2', 'ok 1 - outer', '1..1'),
    counts: [2, 0, 0],
  },
  {
    name: 'a subtest without assertions counts once',
    text: print('# Subtest: outer', '    1..0', 'ok 1 - outer', '1..1'),
    counts: [1, 0, 0],
  },
  {
    name: 'a failed assertion is told with its path and difference, and counted once',
    text:
      print('# Subtest: outer', '    ok 1 - one', '    not ok 2 - two', '      ---', '      at:') +
      print('        fileName: x.ts', '        lineNumber: 7', '        columnNumber: 3', '      diff: |') +
      print('        -wanted', '        +found', '      ...', '    1..2', 'not ok 1 - outer', '1..1') +
      'process.exitCode = 1',
    counts: [1, 1, 0],
    says: /^outer > two\nat x\.ts:7:3\n-wanted\n\+found$/m,
  },
  {
    name: 'a subtest that fails although all it holds passed',
    text: print('# Subtest: outer', '    ok 1 - one', '    1..1', 'not ok 1 - outer', '1..1') + 'process.exitCode = 1',
    counts: [1, 1, 0],
  },
  {
    name: 'skipped and todo are listed with their reasons',
    text: print('ok 1 - one # SKIP no nft here', 'not ok 2 - two # TODO some day', 'ok 3 - three', '1..3'),
    counts: [1, 0, 2],
    says: /^one: no nft here\ntwo: todo: some day$/m,
  },
  {
    name: 'a file that sets itself aside',
    text: print('TAP version 14', '1..0 # no Go compiler'),
    counts: [0, 0, 1],
    says: /^: no Go compiler$/m,
  },
  {
    name: 'a file that crashes after its assertions',
    text: `${PASSING}process.kill(process.pid, 'SIGSEGV')`,
    counts: [2, 1, 0],
    says: /ended by SIGSEGV/,
  },
  {
    name: 'an exit code without a failure',
    text: `${PASSING}process.exitCode = 3`,
    counts: [2, 1, 0],
    says: /ended by exit code 3/,
  },
  {
    name: 'a file that cannot be loaded is told with what it printed',
    text: `import './missing.js'`,
    counts: [0, 1, 0],
    says: /Cannot find module .*missing\.js/,
  },
  {
    name: 'a file without a test',
    text: `console.log('hello')`,
    counts: [0, 1, 0],
    says: /holds no test/,
  },
  {
    name: 'a plan that is not kept',
    text: print('ok 1 - one', '1..2'),
    counts: [1, 1, 0],
    says: /broken TAP/,
  },
  {
    name: 'a bail-out',
    text: print('ok 1 - one', 'Bail out! no memory'),
    counts: [1, 1, 0],
    says: /bailed out: no memory/,
  },
  {
    name: 'a process left behind',
    text: `${PASSING}const { spawn } = await import('node:child_process')
      spawn(process.execPath, ['-e', 'setTimeout(() => 0, 60000)'], { stdio: 'inherit' }).unref()`,
    counts: [2, 1, 0],
    says: /left processes behind/,
  },
  {
    name: 'a file that hangs, even when asked to end',
    text: `${PASSING}process.on('SIGTERM', () => 0); setInterval(() => 0, 1000)`,
    counts: [2, 1, 0],
    says: /timed out/,
    seconds: 2,
  },
  {
    name: 'what a file prints besides TAP',
    text: `${PASSING}console.log('to stdout'); console.error('to stderr')`,
    counts: [2, 0, 0],
    says: /to stdout[^]*to stderr|to stderr[^]*to stdout/,
  },
]

t.jobs = 4
for (const { name, text, counts, says, seconds = 60 } of CASES)
  t.test(name, { buffered: true }, async (test) => {
    const cwd = test.testdir({ 'package.json': '{ "type": "module" }', 'a.test.js': text })
    const options = { cwd, seconds, env: process.env, grace: 500 }
    const { passed, failures, skips, output } = await runTestFile([process.execPath, 'a.test.js'], options)
    test.same([passed, failures.length, skips.length], counts)
    const told = [
      ...failures.map((failure) => `${failure.name}\n${failure.detail}`),
      ...skips.map((skip) => `${skip.name}: ${skip.reason}`),
      output,
    ].join('\n')
    if (says !== undefined) test.match(told, says)
  })

t.test('a program that cannot be started', async (test) => {
  const options = { cwd: '.', seconds: 3, env: process.env, grace: 500 }
  const { failures } = await runTestFile(['/nonexistent/node'], options)
  test.match(failures, [{ detail: /could not be started: .*ENOENT/ }])
})
