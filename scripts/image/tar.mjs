/** A folder as a tar archive (POSIX ustar) that depends on nothing but names, contents, and who may execute what. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

const BLOCK = 512

/** Type flags of ustar. */
const TYPE = { file: '0', link: '2', folder: '5' }

/**
 * @param {string} folder all that is below it goes in, in the order of names
 * @returns {Buffer}
 */
export function tarOf(folder) {
  const parts = []
  for (const name of namesBelow(folder)) parts.push(...entry(join(folder, name), name))
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)])
}

/**
 * An archive of files that are in memory.
 * @param {readonly (readonly [name: string, content: Buffer])[]} files
 */
export const tarOfFiles = (files) =>
  Buffer.concat([...files.flatMap(([name, content]) => [header({ name, type: TYPE.file, mode: 0o644, size: content.length }), padded(content)]), Buffer.alloc(2 * BLOCK)]) // prettier-ignore

const namesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
    .sort()

function entry(path, name) {
  const there = lstatSync(path)
  if (there.isDirectory()) return [header({ name: `${name}/`, type: TYPE.folder, mode: 0o755 })]
  if (there.isSymbolicLink()) return [header({ name, type: TYPE.link, mode: 0o777, link: readlinkSync(path) })]
  const content = readFileSync(path)
  const mode = (there.mode & 0o100) === 0 ? 0o644 : 0o755
  return [header({ name, type: TYPE.file, mode, size: content.length }), padded(content)]
}

const padded = (content) => Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)])

/** One block: name, mode, owner 0, size, time 0, sum, type, link, magic, and the front of a long name. */
function header({ name, type, mode, size = 0, link = '' }) {
  const block = Buffer.alloc(BLOCK)
  const [prefix, rest] = split(name)
  const octal = (value, width) => value.toString(8).padStart(width - 1, '0')
  block.write(rest, 0)
  block.write(octal(mode, 8), 100)
  block.write(octal(0, 8), 108)
  block.write(octal(0, 8), 116)
  block.write(octal(size, 12), 124)
  block.write(octal(0, 12), 136)
  block.write(' '.repeat(8), 148)
  block.write(type, 156)
  block.write(short(link, 100), 157)
  block.write('ustar\x0000', 257)
  block.write(prefix, 345)
  block.write(
    `${octal(
      block.reduce((sum, byte) => sum + byte),
      7,
    )}\0 `,
    148,
  )
  return block
}

/** A name of more than 100 bytes is cut at a slash. */
function split(name) {
  if (Buffer.byteLength(name) <= 100) return ['', name]
  const at = name.indexOf('/', name.length - 101)
  return [short(name.slice(0, at), 155), short(name.slice(at + 1), 100)]
}

function short(text, most) {
  if (Buffer.byteLength(text) > most) throw new Error(`${text} is too long for a tar archive`)
  return text
}
