import { fileURLToPath } from 'node:url'

/** Where the parts of this package lie, from where this file lies compiled: dist/src/cli/demo/. */

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The program's main file. */
export const MAIN = here('../main.js')

/** The CNI executable, which the build compiles. */
export const PLUGIN = here('../../../native/netloom')

/** The manifests of the demo without a PATH. */
export const SHOP = here('../../../../src/cli/demo/shop')
