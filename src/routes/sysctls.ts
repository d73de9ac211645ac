import { type Family, IPV6 } from '../base/family.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Op } from '../ops/op.js'

/** What is to be set; what a kernel does not have is left out, and so is what is of a family that nobody has. */
export const planSysctls = (
  wanted: ReadonlyMap<string, string>,
  actual: ReadonlyMap<string, string>,
  families: readonly Family[],
): Op[] =>
  [...wanted]
    .filter(([path, value]) => actual.get(path) !== value)
    .filter(([path]) => !path.startsWith('net/ipv6') || families.includes(IPV6))
    .map(([path, value]): Op => ({ kind: 'sysctl.set', path, value }))

/** A link that stands has all the sysctls that this kernel knows. */
export const knownSysctls = (
  wanted: ReadonlyMap<string, string>,
  actual: ReadonlyMap<string, string>,
  link: Link | undefined,
): ReadonlyMap<string, string> => new Map([...wanted].filter(([path]) => actual.has(path) || link === undefined))
