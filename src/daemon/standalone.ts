import { join } from 'node:path'
import { type Logger } from '../base/log.js'
import { type CniReplyBody, type FrameBody } from '../codec/frame.js'
import { type Journal } from '../ipam/journal-io.js'
import { Pool } from '../ipam/pool.js'
import { FileLock } from '../kernel/lock.js'
import { Attachments } from './attachments.js'
import { BareNode } from './bare-node.js'
import { answerCni } from './cni.js'
import { companions } from './companions.js'
import { Delegation } from './delegation.js'
import { Kernel } from './kernel.js'
import { LOCK, openJournal } from './leases.js'

export interface StandaloneOptions {
  readonly stateDir: string
  /** Milliseconds to wait for other calls. */
  readonly waitMs: number
  readonly log: Logger
}

/**
 * Answers one call of the CNI executable without an agent (`"agent": "off"`): the same verbs on the same leases, for
 * runtimes that have no daemon beside them. Calls wait for one another.
 * @throws NetloomError `unavailable` where an agent has the leases
 */
export async function answerStandalone(
  raw: FrameBody,
  { stateDir, waitMs, log }: StandaloneOptions,
): Promise<CniReplyBody> {
  const lock = await FileLock.take(join(stateDir, LOCK), { waitMs })
  try {
    const journal = openJournal(stateDir, log)
    const kernel = new Kernel()
    try {
      return await answerCni(raw, { ...(await attachmentsOf({ journal, kernel, log })), log })
    } finally {
      kernel.close()
      journal.close()
    }
  } finally {
    lock.release()
  }
}

interface Parts {
  readonly journal: Journal
  readonly kernel: Kernel
  readonly log: Logger
}

async function attachmentsOf({ journal, kernel, log }: Parts) {
  const pool = new Pool([], journal.leases, journal.released)
  const node = new BareNode(kernel, () => pool.leases.values())
  await node.observe()
  const { guards, extras, ports } = companions({ kernel, leases: () => pool.leases.values(), log })
  // Nobody has been listening: whatever happened since the last call is put right now.
  for (const keeper of [...guards, ...extras]) await keeper.start()
  const delegation = new Delegation(log)
  const attachments = new Attachments({ kernel, ground: node, pool, journal, delegation, ports, guards, extras, log })
  if (journal.salvaged !== undefined) await attachments.adopt()
  return { attachments, notReady: () => undefined }
}
