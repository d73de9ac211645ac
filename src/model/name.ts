import { type Cursor } from './cursor.js'
import { SharedTexts } from './shared-texts.js'

/** Names as the API server allows them: RFC 1123 names, qualified label keys, label values and port names. */

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const DNS_LABEL = new RegExp(`^${LABEL}$`)
const DNS_SUBDOMAIN = new RegExp(`^${LABEL}(\\.${LABEL})*$`)
const QUALIFIED = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const PORT_NAME = /^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/

type Check = (text: string) => string | undefined

const matching = (pattern: RegExp, most: number, problem: string): Check => {
  return (text) => (text.length > most || !pattern.test(text) ? problem : undefined)
}

const checkLabel = matching(DNS_LABEL, 63, 'is not a DNS label (RFC 1123, up to 63 characters)')
const checkSubdomain = matching(DNS_SUBDOMAIN, 253, 'is not a DNS name (RFC 1123, up to 253 characters)')
const checkPortName = matching(PORT_NAME, 15, 'is not a port name (RFC 6335, up to 15 characters)')
const checkQualified = matching(QUALIFIED, 63, 'is not a label key')

function checkLabelKey(text: string): string | undefined {
  const slash = text.indexOf('/')
  const prefix = slash === -1 ? undefined : checkSubdomain(text.slice(0, slash))
  return prefix === undefined ? checkQualified(text.slice(slash + 1)) : 'is not a label key: its prefix is no DNS name'
}

const checkLabelValue: Check = (text) =>
  text === '' || (text.length <= 63 && QUALIFIED.test(text)) ? undefined : 'is not a label value'

/** For texts that are each found in one object or two. */
const readerOfUnique = (check: Check): ((place: Cursor) => string) => {
  return (place) => {
    const text = place.string()
    const problem = check(text)
    if (problem !== undefined) throw place.error(`${place.quoted} ${problem}`)
    return text
  }
}

/** For texts that are found in many objects. */
const readerOf = (check: Check): ((place: Cursor) => string) => {
  const texts = new SharedTexts(check)
  return (place) => texts.read(place)
}

/** RFC 1123 label: names of Services and Namespaces. */
export const readDnsLabel = readerOf(checkLabel)
/** RFC 1123 subdomain: names of all other objects. */
export const readDnsSubdomain = readerOfUnique(checkSubdomain)
/** A Node's name where others refer to it. */
export const readNodeName = readerOf(checkSubdomain)
/** RFC 6335 service name: ports of containers, and whatever refers to them. */
export const readPortName = readerOf(checkPortName)
/** `[prefix/]name`. */
export const readLabelKey = readerOf(checkLabelKey)
export const readLabelValue = readerOf(checkLabelValue)

/** Free words of the API that come from a small set, such as a traffic distribution. */
export const readWord = readerOf(matching(/^[\x21-\x7e]+$/, 253, 'is not a word'))

/** What is wrong with a key of a label, or undefined. */
export const labelKeyProblem: Check = checkLabelKey
