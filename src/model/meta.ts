import { type Cursor } from './cursor.js'
import { labelKeyProblem, readDnsLabel, readDnsSubdomain, readLabelValue } from './name.js'

/** Read one with {@link labelOf}: a label may well be called `constructor`. */
export type Labels = Readonly<Record<string, string>>

const NO_LABELS: Labels = Object.freeze({})

/** What identifies an object of one kind. */
export interface Identity {
  /** Empty for kinds that are not in a namespace. */
  readonly namespace: string
  readonly name: string
}

/** `namespace/name`, or `name` for kinds that are not in a namespace. */
export const keyOf = ({ namespace, name }: Identity): string => (namespace === '' ? name : `${namespace}/${name}`)

export const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined

/** A mapping of label keys to label values. */
export function readLabels(place: Cursor): Labels {
  const fields = place.fields()
  if (fields.length === 0) return NO_LABELS
  const labels: Record<string, string> = {}
  for (const field of fields) {
    const key = String(field.key)
    const problem = labelKeyProblem(key)
    if (problem !== undefined) throw field.error(problem)
    labels[key] = readLabelValue(field)
  }
  return labels
}

/** Name and namespace of an object in a namespace; without one it is in `default`, as with kubectl. */
export function readNamespaced(object: Cursor, readName = readDnsSubdomain): Identity {
  const metadata = object.field('metadata')
  const namespace = metadata.field('namespace')
  return {
    namespace: namespace.value === undefined || namespace.value === '' ? 'default' : readDnsLabel(namespace),
    name: readName(metadata.field('name')),
  }
}

/** Name of an object that is in no namespace. */
export const readClusterScoped = (object: Cursor, readName = readDnsSubdomain): Identity => ({
  namespace: '',
  name: readName(object.field('metadata').field('name')),
})

/** True where the object has been deleted and is only waiting for those who must let go of it. */
export const readTerminating = (object: Cursor): boolean =>
  object
    .field('metadata')
    .field('deletionTimestamp')
    .optional((time) => time.string()) !== undefined
