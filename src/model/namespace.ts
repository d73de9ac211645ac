import { type Cursor } from './cursor.js'
import { type Identity, type Labels, readClusterScoped, readLabels } from './meta.js'
import { readDnsLabel } from './name.js'

/** core/v1 Namespace: a name and the labels that policies select by. */
export interface Namespace extends Identity {
  readonly kind: 'Namespace'
  readonly labels: Labels
}

/** The label by which policies name a namespace; the API server sets it on each (KEP-2161). */
const NAME_LABEL = 'kubernetes.io/metadata.name'

/** @throws NetloomError `invalid`, naming the field */
export function readNamespace(object: Cursor): Namespace {
  const identity = readClusterScoped(object, readDnsLabel)
  const labels = readLabels(object.field('metadata').field('labels'))
  return { kind: 'Namespace', ...identity, labels: { ...labels, [NAME_LABEL]: identity.name } }
}
