import { CNI_CODE, CniFailure } from './error.js'

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
} as const satisfies Readonly<Record<string, CniVersion>>

export const isCniVersion = (text: string): text is CniVersion => (CNI_VERSIONS as readonly string[]).includes(text)

/** True where `version` has what came with `since`. */
export const atLeast = (version: CniVersion, since: CniVersion): boolean =>
  CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(since)

/**
 * Refuses a verb that the configuration's version does not have yet.
 * @throws CniFailure
 */
export function requireVerb(command: keyof typeof VERB_SINCE, cniVersion: CniVersion): void {
  const since = VERB_SINCE[command]
  if (atLeast(cniVersion, since)) return
  const message = `cniVersion: ${command} came with ${since}, and the configuration is of ${cniVersion}`
  throw new CniFailure(CNI_CODE.INCOMPATIBLE_VERSION, message, 'cniVersion')
}
