import { open } from 'node:fs/promises'
import { NetloomError } from '../base/errors.js'
import { stampOf } from './scan.js'

/** Largest file that is read, in bytes. */
export const MOST_BYTES = 64 * 1024 * 1024

/** A file's text, and the stamp of the state it had. */
export interface StableText {
  readonly stamp: string
  readonly text: string
}

/**
 * Reads a file as UTF-8, unless somebody is writing it at the same time.
 * @returns undefined where the file changed while it was read
 * @throws NetloomError `invalid` where it is too large; system errors as they come
 */
export async function readStable(path: string, mostBytes = MOST_BYTES): Promise<StableText | undefined> {
  const file = await open(path)
  try {
    const before = await file.stat({ bigint: true })
    if (before.size > mostBytes)
      throw new NetloomError('invalid', `has ${before.size.toString()} bytes, more than ${mostBytes}`)
    const text = await file.readFile('utf8')
    const stamp = stampOf(before)
    return stampOf(await file.stat({ bigint: true })) === stamp ? { stamp, text } : undefined
  } finally {
    await file.close()
  }
}
