/** Versions of the CNI specification that netloom speaks, oldest first. */
export const CNI_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof CNI_VERSIONS)[number]

export const LATEST_VERSION: CniVersion = '1.1.0'

/** Which version a verb came with; the ones that say 0.3.0 are as old as all that netloom speaks. */
export const VERB_SINCE = {
  ADD: '0.3.0',
  DEL: '0.3.0',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
  VERSION: '0.3.0',
} as const satisfies Readonly<Record<string, CniVersion>>

export const isCniVersion = (text: string): text is CniVersion => (CNI_VERSIONS as readonly string[]).includes(text)

/** True where `version` has what came with `since`. */
export const atLeast = (version: CniVersion, since: CniVersion): boolean =>
  CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(since)
