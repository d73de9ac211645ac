import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'

interface Violation {
  file: string
  line: number
  problem: string
}

// A script is not compiled, so it stands in scripts/ and not beside the compiled test.
const script = new URL('../../../../scripts/imports.mjs', import.meta.url)
const { violations } = (await import(script.href)) as { violations: (root: string) => Violation[] }

/** What the script finds in a tree of these files of src/, as FILE:LINE PROBLEM. */
function check(test: Test, files: Record<string, string>): string[] {
  const root = test.testdir()
  mkdirSync(join(root, 'src'))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, 'src', file)), { recursive: true })
    writeFileSync(join(root, 'src', file), text)
  }
  return violations(root).map(({ file, line, problem }) => `${file}:${line} ${problem}`)
}

const CASES: { name: string; files: Record<string, string>; found: string[] }[] = [
  {
    name: 'the directions of the design are fine',
    files: {
      'base/a.ts': '',
      'codec/a.ts': `import '../base/a.js'`,
      'ops/a.ts': `import { x } from '../codec/a.js'`,
      'routes/plan.ts': `import '../ops/a.js'\nimport '../base/a.js'\nimport './more.js'`,
      'routes/more.ts': `import { pino } from 'pino'`,
      'kernel/a.ts': `import '../ops/a.js'\nimport './socket.js'\nimport { readFileSync } from 'node:fs'`,
      'kernel/socket.ts': `import { RawNetlinkSocket } from 'netlink'`,
      'cli/main.ts': `import '../daemon/a.js'\nimport '../routes/plan.js'`,
      'daemon/a.ts': `import '../kernel/a.js'`,
    },
    found: [],
  },
  {
    name: 'a level imports a higher one',
    files: { 'base/a.ts': `\nimport { x } from '../codec/a.js'`, 'codec/a.ts': `export * from '../kernel/a.js'` },
    found: ['src/base/a.ts:2 L0 imports L1: codec/a.ts', 'src/codec/a.ts:1 L1 imports L3: kernel/a.ts'],
  },
  {
    name: 'a feature imports another feature',
    files: { 'cni/a.ts': `import type { Lease } from '../ipam/lease.js'` },
    found: ['src/cni/a.ts:1 L2 imports L2: ipam/lease.ts'],
  },
  {
    name: 'kernel and kube import each other',
    files: { 'kernel/a.ts': `const kube = await import('../kube/source.js')`, 'kube/b.ts': `import '../kernel/c.js'` },
    found: ['src/kernel/a.ts:1 L3 imports L3: kube/source.ts', 'src/kube/b.ts:1 L3 imports L3: kernel/c.ts'],
  },
  {
    name: 'an import over several lines is found, at its last line',
    files: { 'ops/a.ts': `import {\n  one,\n  two,\n} from '../daemon/a.js'` },
    found: ['src/ops/a.ts:4 L1 imports L4: daemon/a.ts'],
  },
  {
    name: 'native packages outside src/kernel',
    files: {
      'daemon/a.ts': `import { x } from 'netlink'`,
      'cni/a-io.ts': `import { createRequire } from 'node:module'\nconst k = createRequire(import.meta.url)('koffi')`,
    },
    found: [
      'src/cni/a-io.ts:2 imports koffi outside src/kernel/',
      'src/daemon/a.ts:1 imports netlink outside src/kernel/',
    ],
  },
  {
    name: 'a native package in two files of src/kernel',
    files: {
      'kernel/a.ts': `import { x } from 'netlink'\nimport 'netlink'\nimport 'koffi'`,
      'kernel/b.ts': `import { y } from 'netlink/dist/raw.js'`,
    },
    found: ['src/kernel/b.ts:1 imports netlink, which kernel/a.ts does already: one file only'],
  },
  {
    name: 'effects in files that ought to be pure',
    files: {
      'base/a.ts': `import { readFileSync } from 'node:fs'`,
      'codec/a.ts': `import { readFile } from 'fs/promises'`,
      'policy/a.ts': `import { setTimeout } from 'node:timers/promises'\nimport { execFile } from 'node:child_process'`,
      'policy/a-io.ts': `import { createSocket } from 'node:dgram'`,
      'kube/a.ts': `import { request } from 'node:http'`,
    },
    found: [
      'src/base/a.ts:1 imports node:fs, an effect: allowed in files named *-io.ts',
      'src/codec/a.ts:1 imports fs/promises, an effect: allowed in files named *-io.ts',
      'src/policy/a.ts:1 imports node:timers/promises, an effect: allowed in files named *-io.ts',
      'src/policy/a.ts:2 imports node:child_process, an effect: allowed in files named *-io.ts',
    ],
  },
  {
    name: 'base/ip.ts may take the address checks of node:net and no more',
    files: {
      'base/ip.ts': `import { isIPv4, isIPv6 } from 'node:net'\nimport { connect, isIPv4 as four } from 'node:net'`,
    },
    found: ['src/base/ip.ts:2 imports node:net, an effect: allowed in files named *-io.ts'],
  },
  {
    name: 'base/log.ts may write',
    files: { 'base/log.ts': `import { writeSync } from 'node:fs'` },
    found: [],
  },
  {
    name: 'a circle of three files is told once, with its way round',
    files: {
      'proxy/a.ts': `import { b } from './b.js'`,
      'proxy/b.ts': `\nimport { c } from './c.js'`,
      'proxy/c.ts': `\n\nimport { type A } from './a.js'`,
    },
    found: ['src/proxy/c.ts:3 closes a circle: proxy/a.ts -> proxy/b.ts -> proxy/c.ts -> proxy/a.ts'],
  },
  {
    name: 'a file that imports itself',
    files: { 'dns/a.ts': `import './a.js'` },
    found: ['src/dns/a.ts:1 closes a circle: dns/a.ts -> dns/a.ts'],
  },
  {
    name: 'a folder without a level, and an import from it',
    files: { 'extra/a.ts': '', 'main.ts': '' },
    found: [
      'src/extra/a.ts:1 is in no folder that scripts/imports.mjs gives a level',
      'src/main.ts:1 is in no folder that scripts/imports.mjs gives a level',
    ],
  },
  {
    name: 'an import that leads out of src',
    files: { 'cli/bench.ts': `import { run } from '../../scripts/bench.js'` },
    found: ['src/cli/bench.ts:1 imports ../../scripts/bench.js from outside src/'],
  },
  {
    name: 'what stands in comments and strings is no import',
    files: {
      'base/a.ts': [
        `/* import '../cli/a.js' */ // import '../cli/b.js'`,
        `/**`,
        ` * import { x } from '../cli/a.js'`,
        ` */`,
        `export const glob = 'src/**/*.ts'`,
        `export const url = 'http://example.com' // from '../cli/a.js'`,
        `import('../cli/real.js')`,
      ].join('\n'),
    },
    found: ['src/base/a.ts:7 L0 imports L4: cli/real.ts'],
  },
]

for (const { name, files, found } of CASES)
  t.test(name, async (test) => {
    test.same(check(test, files), found)
  })

t.test('the repository itself has no violation', async (test) => {
  test.same(violations('.'), [])
})
