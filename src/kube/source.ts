import { type Change, type ReadonlyStore } from './store.js'

/** Something that is wrong with the input of a source and stays so until somebody puts it right. */
export interface Problem {
  /** The file or the object at fault, as people know it. */
  readonly file: string
  /** From 1. */
  readonly line: number | undefined
  /** From 1. */
  readonly column: number | undefined
  /** Path of the field at fault: `spec.ports[1].port`. */
  readonly field: string | undefined
  readonly message: string
  /** Since when, in milliseconds of the Unix epoch. */
  readonly since: number
}

/** Told of every batch after the store has it. What it throws is logged and hurts no other listener. */
export type Listener = (changes: readonly Change[]) => void

/**
 * A source of truth. Every source keeps what it knows until it knows better: an answer that is missing, empty by
 * accident, cut off or wrong withdraws nothing; it is a {@link Problem}.
 */
export interface Source {
  /**
   * Resolves when the first complete snapshot is in the store and listeners have been told.
   * @throws NetloomError where there is nothing to read from
   */
  start(): Promise<void>
  readonly store: ReadonlyStore
  /**
   * Changes of one moment come as one batch, at most one for an object, and only where the object is different. The
   * first batch is the snapshot; who subscribes later reads the store.
   * @returns ends the subscription
   */
  subscribe(listener: Listener): () => void
  /** What is wrong now, in the order of files. */
  problems(): readonly Problem[]
  /** After it has resolved no listener is called. */
  close(): Promise<void>
}
