#!/usr/bin/env node
/**
 * Proves a change in seconds: `npm run check [-- --fix]`. Types, lint, format, directions of imports, and the tests
 * that need no kernel. --fix first lets the formatter and the linter repair what they can.
 */
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { violations } from './imports.mjs'
import { capture, compile, orExplain, ready } from './ready.mjs'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const QUICK_SUITES = ['unit', 'golden', 'bytes']
const LINTED = ['src', 'test', 'scripts', 'eslint.config.js']
const FORMATTED = [...LINTED, 'cni-conf', '.github', '*.json', '.prettierrc.json']

/** Runs the command of a package that is installed here. */
async function tool(name, args) {
  const { code, output } = await capture(process.execPath, [join(ROOT, 'node_modules', name), ...args])
  return { ok: code === 0, output: output.trim() }
}

// Both caches know a file by its text: a fresh checkout has new times. ESLint's does not know that a type which a file
// uses has changed elsewhere; the fresh clone of the CI has no cache and lints everything.
const cache = (name) => ['--cache', '--cache-strategy', 'content', '--cache-location', join('dist', name)]
const eslint = (...args) =>
  tool('eslint/bin/eslint.js', [...LINTED, '--max-warnings', '0', ...cache('.eslintcache'), ...args])
const prettier = (...args) =>
  tool('prettier/bin/prettier.cjs', [
    ...FORMATTED,
    ...['--no-error-on-unmatched-pattern', '--log-level', 'warn', ...cache('.prettiercache'), ...args],
  ])

async function imports() {
  const found = violations(ROOT)
  return { ok: found.length === 0, output: found.map((v) => `${v.file}:${v.line} ${v.problem}`).join('\n') }
}

/** Tests of what was compiled, so not after a failed compilation. */
async function tests(types) {
  if (!(await types).ok) return { ok: false, output: 'not run, since the types are wrong' }
  const { code, output } = await capture(process.execPath, ['scripts/test.mjs', '--together', ...QUICK_SUITES])
  return { ok: code === 0, output: output.trim(), note: output.trim().split('\n').at(-1) }
}

/** Runs a step and prints its line: name, seconds, and in full what it has to say when it failed. */
async function step(name, work) {
  const started = performance.now()
  const { ok, output, note = '' } = await work()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(7)} ${seconds.padStart(5)} s  ${ok ? note : ''}`.trimEnd())
  if (!ok) console.log(`${output}\n`)
  return { ok }
}

async function check() {
  if (process.argv.includes('--fix')) {
    // What cannot be repaired is told once, by the steps below; what the linter writes, the formatter sets right.
    await eslint('--fix')
    await prettier('--write')
  }
  // Two at a time, the longest first: one core's worth of linting beside the compiler and, after it, the tests.
  const lint = step('lint', () => eslint())
  const types = step('types', () => compile())
  await types
  const beside = [
    await step('imports', imports),
    await step('format', () => prettier('--check')),
    await step('tests', () => tests(types)),
  ]
  const failed = [await lint, await types, ...beside].filter(({ ok }) => !ok)
  process.exitCode = failed.length > 0 ? 1 : 0
}

await orExplain(async () => {
  await ready()
  await check()
})
