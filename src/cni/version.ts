/** Versions of the CNI specification that netloom speaks, oldest first. */
export const CNI_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof CNI_VERSIONS)[number]

export const LATEST_VERSION: CniVersion = '1.1.0'

export const isCniVersion = (text: string): text is CniVersion => (CNI_VERSIONS as readonly string[]).includes(text)

/** True where `version` has what came with `since`. */
export const atLeast = (version: CniVersion, since: CniVersion): boolean =>
  CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(since)
