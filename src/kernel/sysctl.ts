import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { HOST_SYSCTLS } from '../base/names.js'

/** The folder of the kernel's settings that can be written: the node's own, where it is mounted (else it is empty). */
const FOLDER = existsSync(join(HOST_SYSCTLS, 'net/ipv4')) ? HOST_SYSCTLS : '/proc/sys'

/** The file of a setting: `net/ipv4/ip_forward`. */
export const sysctlFile = (path: string): string => join(FOLDER, path)
