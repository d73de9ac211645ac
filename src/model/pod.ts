import { type Ip } from '../base/ip.js'
import { readIp, readListOrLegacy, refuseSecondOfFamily } from './address.js'
import { type Cursor } from './cursor.js'
import { type Identity, type Labels, readLabels, readNamespaced, readTerminating } from './meta.js'
import { readNodeName, readPortName } from './name.js'
import { type Protocol, readPort, readPortIfSet, readProtocol } from './port.js'

const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const
export type PodPhase = (typeof PHASES)[number]

/** A port of a container that lives as long as its pod: an ordinary one, or an init container restarted for ever. */
export interface ContainerPort {
  readonly name: string | undefined
  readonly containerPort: number
  readonly protocol: Protocol
  readonly hostPort: number | undefined
  readonly hostIP: Ip | undefined
}

/** core/v1 Pod. */
export interface Pod extends Identity {
  readonly kind: 'Pod'
  /** Differs between pods that had one name after another. */
  readonly uid: string | undefined
  readonly labels: Labels
  /** metadata.deletionTimestamp is set. */
  readonly terminating: boolean
  /** Undefined until scheduled. */
  readonly nodeName: string | undefined
  readonly hostNetwork: boolean
  readonly phase: PodPhase
  /** Its condition Ready is True. */
  readonly ready: boolean
  /** status.podIPs: at most one per family, empty until the pod is attached. */
  readonly ips: readonly Ip[]
  /** Those of ordinary containers first, which is the order in which a name is looked up. */
  readonly ports: readonly ContainerPort[]
}

/** @throws NetloomError `invalid`, naming the field */
export function readPod(object: Cursor): Pod {
  const spec = object.field('spec')
  const status = object.field('status')
  return {
    kind: 'Pod',
    ...readNamespaced(object),
    uid: object.field('metadata').field('uid').optional(readUid),
    labels: readLabels(object.field('metadata').field('labels')),
    terminating: readTerminating(object),
    nodeName: spec.field('nodeName').value === '' ? undefined : spec.field('nodeName').optional(readNodeName),
    hostNetwork: spec.field('hostNetwork').boolean(),
    phase: status.field('phase').oneOf(PHASES, 'Pending'),
    ready: status.field('conditions').list(isReady).includes(true),
    ips: readPodIps(status),
    ports: [
      ...spec.field('containers').list(readContainerPorts).flat(),
      ...spec.field('initContainers').list(readSidecarPorts).flat(),
    ],
  }
}

function readUid(place: Cursor): string {
  const uid = place.string()
  if (uid.length > 128) throw place.error(`${place.quoted} is too long`)
  return uid
}

const isReady = (condition: Cursor): boolean =>
  condition.field('type').string() === 'Ready' && condition.field('status').string() === 'True'

function readPodIps(status: Cursor): readonly Ip[] {
  const list = status.field('podIPs')
  const read = (place: Cursor): Ip => readIp(place.key === 'podIP' ? place : place.field('ip'))
  const ips = readListOrLegacy(list, status.field('podIP'), read, ({ address }) => address)
  refuseSecondOfFamily(
    list,
    ips.map(({ family }) => family),
  )
  return ips
}

const readContainerPorts = (container: Cursor): readonly ContainerPort[] =>
  container.field('ports').list(readContainerPort)

/** KEP-753: an init container that is always restarted runs beside the others. */
const readSidecarPorts = (container: Cursor): readonly ContainerPort[] =>
  container.field('restartPolicy').value === 'Always' ? readContainerPorts(container) : []

function readContainerPort(place: Cursor): ContainerPort {
  const hostIP = place.field('hostIP')
  return {
    name: place.field('name').value === '' ? undefined : place.field('name').optional(readPortName),
    containerPort: readPort(place.field('containerPort')),
    protocol: readProtocol(place.field('protocol')),
    hostPort: readPortIfSet(place.field('hostPort')),
    hostIP: hostIP.value === '' ? undefined : hostIP.optional(readIp),
  }
}
