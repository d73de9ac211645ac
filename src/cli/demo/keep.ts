import { type Report } from './report.js'

/** How to look around in a demo that stays up. */

export interface Kept {
  readonly report: Pick<Report, 'pods' | 'nodes' | 'services'>
  /** It has a user namespace of its own: a user without rights has started it. */
  readonly ownUsers: boolean
  /** Process id of the demo, as it is outside. */
  readonly pid: number
  /** The folder of YAML, as the demo sees it. */
  readonly state: string
}

/**
 * Text for another terminal. The demo's /run is its own, so from outside every path goes through /proc/PID/root. Its
 * user namespace has to be entered where it has one, and cannot be where it has none (setns answers EINVAL).
 */
export function keepText({ report, ownUsers, pid, state }: Kept): string {
  const users = ownUsers ? ' --user --preserve-credentials' : ''
  const enter = `nsenter --target ${pid}${users} --mount --net=/proc/${pid}/root`
  const pod = report.pods.find(({ hostNetwork }) => !hostNetwork)
  const node = report.nodes[0]
  const service = report.services.find(
    ({ clusterIPs, protocol, answers }) => clusterIPs.length > 0 && protocol === 'TCP' && answers > 0,
  )
  const asked = service === undefined ? undefined : `/dev/tcp/${service.clusterIPs[0] ?? ''}/${service.port}`
  const rows = [
    ...(pod === undefined ? [] : [['a pod', `${enter}${pod.namespace} bash`]]),
    ...(pod === undefined || asked === undefined
      ? []
      : [[`${service?.service ?? ''}, as that pod`, `${enter}${pod.namespace} bash -c 'cat <${asked}'`]]),
    ...(node === undefined ? [] : [['a node', `${enter}/run/netns/${node.name} bash`]]),
    ['the cluster (YAML to edit)', `/proc/${pid}/root${state}`],
    ['to end it', `Ctrl-C here, or kill ${pid}`],
  ]
  const lines = rows.map(([what = '', how = '']) => `  ${what}\n    ${how}\n`)
  return `\nThe demo stays up. In another terminal:\n${lines.join('')}`
}
