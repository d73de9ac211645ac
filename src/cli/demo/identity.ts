import { createHash } from 'node:crypto'

/** Names that are the same in every run: of pods as a controller gives them, and of what netloom makes for them. */

/** The characters that Kubernetes makes random parts of names from: no vowels, so no words come out. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'

/** `length` characters that follow from a text. */
export function suffix(text: string, length: number): string {
  const bytes = createHash('sha256').update(text).digest()
  return Array.from(bytes.subarray(0, length), (byte) => ALPHABET[byte % ALPHABET.length]).join('')
}

/** Names of API objects may have 253 characters, but a pod's name is its host name as well: 63. */
const POD_NAME_CHARACTERS = 63

/** `web` and `x7kqz` as `web-x7kqz`; a long name gives way, as with the API server's generateName. */
export const generatedName = (base: string, end: string): string =>
  `${base.slice(0, POD_NAME_CHARACTERS - end.length - 1)}-${end}`

/** The longest name of a namespace: readable in a column, and far below a file name's limit. */
const NAMESPACE_CHARACTERS = 48

/** Names of network namespaces of pods by their keys (`default/web-0`): readable, short, each once. */
export function namespaceNames(pods: readonly string[]): Map<string, string> {
  const names = new Map<string, string>()
  const taken = new Set<string>()
  for (const pod of pods) {
    const plain = `pod-${pod.replace('/', '-')}`
    const name = plain.length > NAMESPACE_CHARACTERS || taken.has(plain) ? shortened(plain, pod) : plain
    taken.add(name)
    names.set(pod, name)
  }
  return names
}

const shortened = (name: string, pod: string): string => `${name.slice(0, NAMESPACE_CHARACTERS - 9)}-${suffix(pod, 8)}`

/** What a runtime calls the sandbox of a pod: 64 hexadecimal digits. */
export const containerId = (pod: string): string => createHash('sha256').update(pod).digest('hex')
