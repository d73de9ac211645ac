import { type Logger } from '../base/log.js'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { type CniReplyBody, type FrameBody } from '../codec/frame.js'
import { CNI_CODE, cniError, CniFailure } from '../cni/error.js'
import { type CniRequest, type Command, parseRequest, versionForErrors } from '../cni/request.js'
import { CNI_VERSIONS } from '../cni/version.js'
import { type Attachments } from './attachments.js'

export interface CniOptions {
  readonly attachments: Attachments
  /** Why pods cannot be attached at the moment; undefined when they can. */
  readonly notReady: () => string | undefined
  /** Told of a call for a pod that failed. */
  readonly onFailure?: ((pod: string, error: NetloomError) => void) | undefined
  readonly log: Logger
}

type Verb = (request: CniRequest, options: CniOptions) => Promise<object | undefined>

const whenReady =
  (verb: Verb): Verb =>
  async (request, options) => {
    const reason = options.notReady()
    if (reason !== undefined) throw new NetloomError('unavailable', reason)
    return verb(request, options)
  }

const VERBS: Readonly<Record<Command, Verb>> = {
  ADD: whenReady(async (request, { attachments }) => attachments.add(request)),
  DEL: whenReady(async (request, { attachments }) => {
    await attachments.del(request)
    return undefined
  }),
  CHECK: whenReady(async (request, { attachments }) => {
    await attachments.check(request)
    return undefined
  }),
  GC: whenReady(async (request, { attachments }) => {
    await attachments.gc(request)
    return undefined
  }),
  STATUS: async (request, { attachments, notReady }) => {
    const reason = notReady()
    if (reason !== undefined) throw new CniFailure(CNI_CODE.NOT_AVAILABLE, reason)
    await attachments.status(request)
    return undefined
  },
}

/** Asks for no more than the version, whose name it repeats; there may be nothing else on standard input. */
const versions = (raw: FrameBody): object => ({ cniVersion: versionForErrors(raw), supportedVersions: CNI_VERSIONS })

const printed = (result: object | undefined): CniReplyBody => ({
  exit: 0,
  output: result === undefined ? '' : `${JSON.stringify(result)}\n`,
})

const failed = (error: unknown, raw: FrameBody): CniReplyBody => ({
  exit: 1,
  output: `${JSON.stringify(cniError(error, versionForErrors(raw)))}\n`,
})

/** Answers a call that comes before the agent can take any: nothing is begun, and it is worth asking again soon. */
export const answerEarly = (raw: FrameBody, reason: string): CniReplyBody => ({
  ...failed(
    raw['command'] === 'STATUS'
      ? new CniFailure(CNI_CODE.NOT_AVAILABLE, reason)
      : new NetloomError('unavailable', reason),
    raw,
  ),
  retry: true,
})

/** Answers a call of the CNI executable: what it is to print, and its exit code. */
export async function answerCni(raw: FrameBody, options: CniOptions): Promise<CniReplyBody> {
  const started = performance.now()
  const { log } = options
  let pod: string | undefined
  try {
    if (raw['command'] === 'VERSION') return printed(versions(raw))
    const request = parseRequest(raw)
    pod = request.args.pod
    const result = await VERBS[request.command](request, options)
    const { command, containerId, ifname, args } = request
    log.info({ command, containerId, ifname, pod: args.pod, ms: Math.round(performance.now() - started) }, 'CNI call')
    return printed(result)
  } catch (error) {
    log.warn({ command: raw['command'], containerId: raw['containerId'], err: error }, 'CNI call failed')
    if (pod !== undefined) options.onFailure?.(pod, asNetloomError(error))
    return failed(error, raw)
  }
}
