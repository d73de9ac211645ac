#!/usr/bin/env node
/**
 * Builds the container image without a container engine: `npm run image`. What is in it comes from registries, pinned and
 * verified: Node from its npm package, by digest; the C libraries that it needs from Debian's packages, by apt's signed
 * lists; our dependencies by package-lock.json; the rest is this clone's build. The result is dist/image/netloom.tar, an
 * OCI image layout, the same bytes whenever the same goes in. `--root FOLDER` only puts the files there, for the
 * Dockerfile. A layer is built again only when what goes into it has changed.
 * Exit codes: 0 built or up to date; 2 wrong arguments; 3 it cannot be built here, and standard error says why in one line.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs' // prettier-ignore
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { tarOf, tarOfFiles } from './image/tar.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const FOLDER = join(ROOT, 'dist/image')
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** What the image runs on, by the name that Node has for it. */
const PLATFORM = {
  x64: {
    oci: 'amd64',
    node: 'sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==',
  },
  arm64: {
    oci: 'arm64',
    node: 'sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==',
  },
}[process.arch]
const NODE = `node-linux-${process.arch}@20.20.2`

/** Debian packages with the libraries that Node is linked with. Of their files only these are taken. */
const LIBRARIES = ['libc6', 'libgcc-s1', 'libstdc++6']
const IS_LIBRARY = /\.so(\.\d+)*$/
const IS_UNUSED = /\/(gconv|audit)\//

/** Where things of the node are mounted: a root that is read-only must have them already. */
const MOUNT_POINTS = [
  ...['dev', 'proc', 'sys', 'tmp', 'run/netloom', 'run/netns', 'run/secrets/kubernetes.io/serviceaccount'],
  ...['etc/netloom', 'etc/cni/net.d', 'opt/cni/bin', 'host/proc/sys/net'],
]

/** Starts by its own path, since there is no env(1) in the image. */
const PROGRAM = "#!/usr/local/bin/node\nimport('/opt/netloom/dist/src/cli/main.js')\n"

/** A network that swallows packets must not hold up the tests. */
const TIMEOUT_MS = 180_000

/** A reason why it cannot be built here, in one line. */
class Unavailable extends Error {}

function run(program, args, options = {}) {
  const { error, status, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: TIMEOUT_MS, ...options })
  if (error !== undefined)
    throw new Unavailable(`${program}: ${error.code === 'ENOENT' ? 'not installed' : error.message}`)
  if (status !== 0) throw new Unavailable(`${program} ${args[0]}: ${stderr.trim().split('\n').at(-1)}`)
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** The C libraries, and all that is there before a program is. */
function stageSystem(root, scratch) {
  download(scratch)
  const packages = readdirSync(scratch).filter((name) => name.endsWith('.deb'))
  for (const name of packages) run('dpkg-deb', ['-x', join(scratch, name), join(scratch, 'files')])
  cpSync(join(scratch, 'files'), root, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (from) => !IS_UNUSED.test(from) && (isFolder(from) || IS_LIBRARY.test(from)),
  })
  removeEmptyFolders(root)
  for (const path of MOUNT_POINTS) mkdirSync(join(root, path), { recursive: true })
  mkdirSync(join(root, 'var'))
  symlinkSync('../run', join(root, 'var/run'))
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/nologin\n')
}

/** With the machine's lists of packages, else with such of its own, which takes no root. */
function download(scratch) {
  try {
    run('apt-get', ['download', ...LIBRARIES], { cwd: scratch })
  } catch {
    const lists = join(scratch, 'lists')
    const own = [`Dir::State::Lists=${lists}`, `Dir::Cache=${lists}`, 'APT::Sandbox::User=root'].flatMap((o) => [
      '-o',
      o,
    ])
    mkdirSync(join(lists, 'partial'), { recursive: true })
    run('apt-get', [...own, 'update', '--quiet=2', '--error-on=any'], { cwd: scratch })
    run('apt-get', [...own, 'download', ...LIBRARIES], { cwd: scratch })
  }
}

const isFolder = (path) => readdirOrNothing(path) !== undefined

function readdirOrNothing(path) {
  try {
    return readdirSync(path)
  } catch {
    return undefined
  }
}

function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name))
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true })
}

function stageNode(root, scratch) {
  run('npm', ['pack', NODE, '--prefer-offline', '--silent', '--pack-destination', scratch], { cwd: scratch })
  const [name] = readdirSync(scratch)
  const bytes = readFileSync(join(scratch, name))
  const digest = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
  if (digest !== PLATFORM.node) throw new Error(`${NODE} has the digest ${digest}, and should have ${PLATFORM.node}`)
  run('tar', ['-xzf', name, 'package/bin/node', 'package/LICENSE'], { cwd: scratch })
  place(join(scratch, 'package/bin/node'), join(root, 'usr/local/bin/node'))
  place(join(scratch, 'package/LICENSE'), join(root, 'usr/share/doc/node/LICENSE'))
}

/** Our program, the CNI executable, and the packages that they need; of the latter only what runs here. */
function stageProgram(root, scratch) {
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(ROOT, name), join(scratch, name))
  run('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: scratch })
  const app = join(root, 'opt/netloom')
  const isWanted = (from) => !/\.(map|d\.ts|md)$/.test(from) && !isForeign(from)
  cpSync(join(scratch, 'node_modules'), join(app, 'node_modules'), { recursive: true, filter: isWanted })
  cpSync(join(ROOT, 'dist/src'), join(app, 'dist/src'), { recursive: true, filter: isWanted })
  for (const name of ['package.json', 'LICENSE', 'dist/native/netloom']) place(join(ROOT, name), join(app, name))
  const program = join(root, 'usr/local/bin/netloom')
  mkdirSync(dirname(program), { recursive: true })
  writeFileSync(program, PROGRAM, { mode: 0o755 })
}

/** Binaries for other machines, which packages bring beside ours. */
function isForeign(path) {
  const platform = /\/prebuilds\/([^/]+)/.exec(path)?.[1]
  return (platform !== undefined && platform !== `linux-${process.arch}`) || /musl/.test(path) || /\.bin$/.test(path)
}

function place(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to)
}

/** What changes least is first. `inputs` is all that a layer depends on. */
const LAYERS = [
  { name: 'system', stage: stageSystem, inputs: () => LIBRARIES },
  { name: 'node', stage: stageNode, inputs: () => [NODE, PLATFORM.node] },
  {
    name: 'program',
    stage: stageProgram,
    inputs: () => [readFileSync(join(ROOT, 'package-lock.json')), ...builtFiles()],
  },
]

function builtFiles() {
  const names = readdirSync(join(ROOT, 'dist/src'), { recursive: true }).filter((name) => name.endsWith('.js'))
  const paths = [
    ...names.sort().map((name) => join('dist/src', name)),
    'dist/native/netloom',
    'package.json',
    'LICENSE',
  ]
  return paths.flatMap((path) => [path, readFileSync(join(ROOT, path))])
}

/** This script makes layers what they are, so it is an input of each. */
const SELF = ['image.mjs', 'image/tar.mjs'].map((name) => readFileSync(join(ROOT, 'scripts', name)))

function withScratch(work) {
  const scratch = mkdtempSync(join(FOLDER, 'scratch-'))
  try {
    return work(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The layer's archive, compressed, with the digest of what it unpacks to; of the last time where nothing has changed. */
function buildLayer({ name, stage, inputs }) {
  const hash = createHash('sha256')
  for (const input of [...SELF, ...inputs()]) hash.update(input).update('\0')
  const cached = join(FOLDER, `${name}-${hash.digest('hex').slice(0, 32)}.json`)
  if (!existsSync(cached)) {
    const archive = withScratch((scratch) => {
      const root = join(scratch, 'root')
      mkdirSync(join(scratch, 'work'))
      mkdirSync(root)
      stage(root, join(scratch, 'work'))
      return tarOf(root)
    })
    const blob = gzipSync(archive)
    for (const old of readdirSync(FOLDER)) if (old.startsWith(`${name}-`)) rmSync(join(FOLDER, old))
    write(cached.replace('.json', '.tgz'), blob)
    write(cached, JSON.stringify({ diffId: `sha256:${sha256(archive)}` }))
  }
  const { diffId } = JSON.parse(readFileSync(cached, 'utf8'))
  return { name, diffId, blob: readFileSync(cached.replace('.json', '.tgz')) }
}

/** Renamed when complete, so that nobody ever takes half a file. */
function write(path, bytes) {
  writeFileSync(`${path}.tmp`, bytes)
  renameSync(`${path}.tmp`, path)
}

/** What the image starts, and what it says of itself (OCI image specification 1.0, "Image Configuration"). */
const configOf = (layers) => ({
  architecture: PLATFORM.oci,
  os: 'linux',
  config: {
    Entrypoint: ['/usr/local/bin/netloom'],
    Cmd: ['--help'],
    Env: ['PATH=/usr/local/bin'],
    WorkingDir: '/',
    Labels: {
      'org.opencontainers.image.title': PACKAGE.name,
      'org.opencontainers.image.description': PACKAGE.description,
      'org.opencontainers.image.version': PACKAGE.version,
      'org.opencontainers.image.licenses': PACKAGE.license,
    },
  },
  rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  history: layers.map(({ name }) => ({ created_by: `scripts/image.mjs: ${name}` })),
})

const MEDIA = 'application/vnd.oci.image'

function describe(blobs, mediaType, bytes) {
  const digest = sha256(bytes)
  blobs.set(`blobs/sha256/${digest}`, bytes)
  return { mediaType, digest: `sha256:${digest}`, size: bytes.length }
}

/** The layout of an image in files (OCI image specification 1.0, "Image Layout"). */
function layoutOf(layers) {
  const blobs = new Map()
  const json = (value) => Buffer.from(JSON.stringify(value))
  const config = describe(blobs, `${MEDIA}.config.v1+json`, json(configOf(layers)))
  const described = layers.map(({ blob }) => describe(blobs, `${MEDIA}.layer.v1.tar+gzip`, blob))
  const manifest = { schemaVersion: 2, mediaType: `${MEDIA}.manifest.v1+json`, config, layers: described }
  const annotations = {
    'org.opencontainers.image.ref.name': PACKAGE.version,
    // What containerd calls it when it imports it: the name in cni-conf/netloom.yaml.
    'io.containerd.image.name': `docker.io/library/${PACKAGE.name}:${PACKAGE.version}`,
  }
  const platform = { architecture: PLATFORM.oci, os: 'linux' }
  const listed = { ...describe(blobs, manifest.mediaType, json(manifest)), annotations, platform }
  const index = { schemaVersion: 2, mediaType: `${MEDIA}.index.v1+json`, manifests: [listed] }
  const files = [
    ['oci-layout', json({ imageLayoutVersion: '1.0.0' })],
    ['index.json', json(index)],
    ...[...blobs].sort(),
  ]
  return { digest: listed.digest, files }
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

function buildImage() {
  const layers = LAYERS.map(buildLayer)
  const { digest, files } = layoutOf(layers)
  const archive = tarOfFiles(files)
  write(join(FOLDER, 'netloom.tar'), archive)
  const parts = layers.map(({ name, blob }) => `${name} ${mebibytes(blob.length)}`)
  console.log(`dist/image/netloom.tar: ${PACKAGE.name}:${PACKAGE.version} ${digest}`)
  console.log(`${mebibytes(archive.length)} compressed: ${parts.join(', ')}`)
}

/** The files of all layers in a folder, for whoever makes an image of them otherwise. */
function stageAll(root) {
  mkdirSync(root, { recursive: true })
  for (const { stage } of LAYERS) withScratch((scratch) => stage(root, scratch))
}

function main(args) {
  const [option, root, ...more] = args
  if (more.length > 0 || (option !== undefined && (option !== '--root' || root === undefined))) {
    console.error('usage: image.mjs [--root FOLDER]')
    return 2
  }
  if (PLATFORM === undefined) throw new Unavailable(`there is no image for ${process.arch}`)
  for (const path of ['dist/src/cli/main.js', 'dist/native/netloom'])
    if (!existsSync(join(ROOT, path))) throw new Unavailable(`${path} is not built: npm run build`)
  mkdirSync(FOLDER, { recursive: true })
  if (root === undefined) buildImage()
  else stageAll(root)
  return 0
}

try {
  process.exitCode = main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Unavailable)) throw error
  console.error(error.message)
  process.exitCode = 3
}
