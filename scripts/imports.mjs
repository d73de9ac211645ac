#!/usr/bin/env node
/**
 * Proves the direction of imports (src/README.md): who may import whom, where native packages and effects live, and
 * that no files import each other in a circle. Prints every violation as FILE:LINE and fails if there is one.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folders of src/ by level. `may` lists the levels a folder may import; its own folder is always allowed. */
const LEVELS = [
  { level: 0, may: [0], folders: ['base'] },
  { level: 1, may: [0, 1], folders: ['codec', 'ops', 'model'] },
  {
    level: 2,
    may: [0, 1],
    folders:
      'cni ipam routes proxy masquerade antispoof isolation hostports bandwidth subnets tunnelguard policy dns'.split(
        ' ',
      ),
  },
  { level: 3, may: [0, 1], folders: ['kernel', 'kube'] },
  { level: 4, may: [0, 1, 2, 3, 4], folders: ['daemon', 'cli'] },
]
/** Native packages: each in one file under src/kernel/, so that all else can be tested without them. */
const NATIVE = ['netlink', 'koffi']
/** Modules that reach outside the process or its clock: below level 3 only in files named *-io.ts. */
const EFFECTS = new Set(
  'fs fs/promises net child_process dgram http https http2 tls dns dns/promises timers/promises'.split(' '),
)
/** What pure files may take from a module of effects all the same; undefined is everything. */
const ALLOWED_EFFECTS = { 'base/ip.ts': { net: ['isIPv4', 'isIPv6'] }, 'base/log.ts': undefined }

const levelOf = (file) => LEVELS.find(({ folders }) => folders.includes(file.split('/')[0]))
const isPure = (file) => (levelOf(file)?.level ?? 0) < 3 && !file.endsWith('-io.ts')
const packageOf = (specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
const isNative = ({ specifier }) => NATIVE.includes(packageOf(specifier))

/**
 * The violations of the tree ROOT/src, sorted: `{ file, line, problem }`, `file` relative to ROOT.
 * @param {string} root
 * @returns {{ file: string, line: number, problem: string }[]}
 */
export function violations(root) {
  const files = readdirSync(join(root, 'src'), { recursive: true })
    .filter((file) => file.endsWith('.ts'))
    .sort()
  const imports = files.flatMap((file) => importsOf(file, readFileSync(join(root, 'src', file), 'utf8')))
  return [...files.flatMap(strays), ...imports.flatMap(misdirected), ...scattered(imports), ...circles(files, imports)]
    .map(({ file, line, problem }) => ({ file: `src/${file}`, line, problem }))
    .sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line)
}

/** Every import, export-from, import() and require() of a text; type-only ones count, they couple files as well. */
function importsOf(file, text) {
  const pattern =
    /^[ \t]*(?:import|export)\b([^'"`;=]*?)\bfrom\s*['"]([^'"]+)['"]|^[ \t]*import\s*['"]([^'"]+)['"]|\b(?:import|require|createRequire\([^)]*\))\s*\(\s*['"]([^'"]+)['"]/gm
  const code = withoutComments(text)
  return Array.from(code.matchAll(pattern), (match) => {
    const specifier = match[2] ?? match[3] ?? match[4]
    const line = code.slice(0, match.index + match[0].length).split('\n').length
    return { file, line, names: match[1] ?? '*', specifier, target: targetOf(file, specifier) }
  })
}

/** Comments blanked, line for line; strings kept, since one may hold what looks like a comment. */
const withoutComments = (text) =>
  text.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/.*|\/\*[^]*?\*\//g, (token) =>
    token.startsWith('/') ? token.replace(/[^\n]/g, ' ') : token,
  )

/** A relative import's file, relative to src/ (`../x` where it leads out of it); undefined for packages. */
const targetOf = (file, specifier) =>
  specifier.startsWith('.')
    ? relative('/src', resolve('/src', dirname(file), specifier)).replace(/\.js$/, '.ts')
    : undefined

const strays = (file) =>
  levelOf(file) ? [] : [{ file, line: 1, problem: 'is in no folder that scripts/imports.mjs gives a level' }]

/** The rules that one import can break alone. */
function misdirected(item) {
  const { file, specifier, target } = item
  const violation = (problem) => [{ ...item, problem }]
  if (target !== undefined) {
    const [from, to] = [levelOf(file), levelOf(target)]
    if (target.startsWith('..')) return violation(`imports ${specifier} from outside src/`)
    if (!from || !to || from.may.includes(to.level) || file.split('/')[0] === target.split('/')[0]) return []
    return violation(`L${from.level} imports L${to.level}: ${target}`)
  }
  if (isNative(item) && !file.startsWith('kernel/')) return violation(`imports ${specifier} outside src/kernel/`)
  const effect = specifier.replace(/^node:/, '')
  if (!EFFECTS.has(effect) || !isPure(file) || isAllowedEffect(item, effect)) return []
  return violation(`imports ${specifier}, an effect: allowed in files named *-io.ts`)
}

function isAllowedEffect({ file, names }, effect) {
  if (!(file in ALLOWED_EFFECTS)) return false
  const allowed = ALLOWED_EFFECTS[file]?.[effect]
  return ALLOWED_EFFECTS[file] === undefined || names.match(/[\w*]+/g).every((name) => allowed?.includes(name))
}

/** A native package that more than one file of src/kernel/ imports. */
function scattered(imports) {
  const home = new Map()
  return imports.filter(isNative).flatMap((item) => {
    const name = packageOf(item.specifier)
    if (!home.has(name)) home.set(name, item.file)
    if (home.get(name) === item.file) return []
    return [{ ...item, problem: `imports ${name}, which ${home.get(name)} does already: one file only` }]
  })
}

/** Circles of imports, each once, found depth first. */
function circles(files, imports) {
  const found = []
  const state = new Map()
  const visit = (file, path) => {
    state.set(file, 'open')
    for (const { line, target } of imports.filter((item) => item.file === file && item.target !== undefined)) {
      const circle = [...path, file].slice([...path, file].indexOf(target))
      if (state.get(target) === 'open')
        found.push({ file, line, problem: `closes a circle: ${[...circle, target].join(' -> ')}` })
      else if (!state.has(target)) visit(target, [...path, file])
    }
    state.set(file, 'done')
  }
  for (const file of files) if (!state.has(file)) visit(file, [])
  return found
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
  const found = violations(root)
  for (const { file, line, problem } of found) console.error(`${file}:${line} ${problem}`)
  process.exitCode = found.length > 0 ? 1 : 0
}
