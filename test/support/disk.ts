import * as fs from 'node:fs'
import { type Disk } from '../../src/ipam/journal-io.js'

/** Where a process ends at a system call: before it, in the middle of what it writes, or right after it. */
export const MOMENTS = ['before', 'within', 'after'] as const
export type Moment = (typeof MOMENTS)[number]

export interface Mortal {
  readonly disk: Disk
  /** System calls so far. */
  readonly steps: () => number
  readonly isDead: () => boolean
  /** Closes what the dead one had open. */
  readonly bury: () => void
}

/**
 * A disk whose user ends at a step: `die` does not come back, or throws; then no later call, of an error handler say,
 * reaches the disk either. The file is left as the kernel leaves that of a process that was killed.
 */
export function mortalDisk(step: number, moment: Moment, die: () => never): Mortal {
  let count = 0
  const open = new Set<number>()
  const call = <A extends unknown[], R>(work: (...args: A) => R, half: (...args: A) => R = work) =>
    ((...args: A): R => {
      count++
      if (count < step) return work(...args)
      if (count > step || moment === 'before') return die()
      if (moment === 'within') half(...args)
      else work(...args)
      return die()
    }) as never
  const writeHalf = (fd: number, bytes: Buffer, offset: number): number =>
    fs.writeSync(fd, bytes, offset, Math.ceil((bytes.length - offset) / 2))
  const openFile = (path: string, flags: number, mode: number): number => {
    const fd = fs.openSync(path, flags, mode)
    open.add(fd)
    return fd
  }
  const closeFile = (fd: number): void => {
    fs.closeSync(fd)
    open.delete(fd)
  }
  return {
    steps: () => count,
    isDead: () => count >= step,
    bury: () => [...open].forEach(closeFile),
    disk: {
      closeSync: call(closeFile),
      fstatSync: call(fs.fstatSync as (fd: number) => fs.Stats),
      fsyncSync: call(fs.fsyncSync),
      ftruncateSync: call(fs.ftruncateSync),
      linkSync: call(fs.linkSync),
      mkdirSync: call(fs.mkdirSync as (path: string) => string | undefined),
      openSync: call(openFile),
      readFileSync: call(fs.readFileSync as (fd: number) => Buffer),
      renameSync: call(fs.renameSync),
      rmSync: call(fs.rmSync),
      writeSync: call(fs.writeSync as unknown as typeof writeHalf, writeHalf),
    },
  }
}
