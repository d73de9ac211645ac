import { type Writer } from './wire.js'

/**
 * One netlink request as data: what is asked, without the sequence number and the flags REQUEST, ACK and DUMP, which
 * whoever talks to the kernel adds.
 */
export interface Request {
  /** nlmsg_type. */
  readonly type: number
  /** nlmsg_flags beyond REQUEST, ACK and DUMP: CREATE, EXCL, REPLACE, APPEND, ECHO, ... */
  readonly flags: number
  /** Appends everything behind the header: the fixed struct of the message type and its attributes. */
  readonly body: (writer: Writer) => void
  /** What it does, in the user's terms, for errors and logs: `create link veth0`. */
  readonly operation: string
}
