import { closeSync, fstatSync, statSync } from 'node:fs'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { CNI_CODE, CniFailure } from '../cni/error.js'
import { Applier } from '../kernel/apply.js'
import { inNamespace, openNamespace } from '../kernel/netns.js'
import { openSocket, PROTOCOL } from '../kernel/socket.js'
import { Talk } from '../kernel/talk.js'
import { type Op } from '../ops/op.js'

/** A container's namespace, opened: what is done in it is done through a netlink socket of its own. */
export class Container {
  /** Descriptor of the namespace. */
  readonly fd: number
  readonly route: Talk

  private constructor(fd: number, route: Talk) {
    this.fd = fd
    this.route = route
  }

  /**
   * Opens the namespace, works with it, and closes it again.
   * @param netns path, as CNI_NETNS gives it
   * @throws CniFailure `3` where there is none, `4` where it is something else
   */
  static async within<T>(netns: string, work: (container: Container) => Promise<T>): Promise<T> {
    const fd = openContainerNamespace(netns)
    try {
      const route = talkInside(fd, netns)
      try {
        return await work(new Container(fd, route))
      } finally {
        route.close()
      }
    } finally {
      closeSync(fd)
    }
  }

  /** Carries out operations inside. */
  async apply(ops: readonly Op[], known?: ReadonlyMap<string, number>): Promise<void> {
    await new Applier({ route: this.route, namespace: this.fd }).apply(ops, known)
  }
}

/** The node's own namespace is refused, since the node's network would be taken for a container's. */
function openContainerNamespace(netns: string): number {
  let fd: number
  try {
    fd = openNamespace(netns)
  } catch (error) {
    const message = `CNI_NETNS ${netns}: ${asNetloomError(error).message}`
    throw new CniFailure(CNI_CODE.UNKNOWN_CONTAINER, message, 'CNI_NETNS')
  }
  const own = statSync('/proc/self/ns/net')
  const other = fstatSync(fd)
  if (other.ino !== own.ino || other.dev !== own.dev) return fd
  closeSync(fd)
  throw notTheContainers(netns, "the node's own namespace")
}

const notTheContainers = (netns: string, what: string): CniFailure =>
  new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, `CNI_NETNS ${netns} is ${what}`, 'CNI_NETNS')

/** A conversation within an opened namespace. */
function talkInside(fd: number, netns: string): Talk {
  try {
    return inNamespace(fd, () => new Talk(openSocket({ protocol: PROTOCOL.ROUTE, bufferBytes: 0 })))
  } catch (error) {
    if (error instanceof NetloomError && error.errno === EINVAL)
      throw notTheContainers(netns, 'not a network namespace')
    throw error
  }
}

/** What setns answers for a file that is none, or one of another kind. */
const EINVAL = 22
