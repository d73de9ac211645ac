/** Runs several compiled test files in one process: `node together.mjs FILE...`. Their tests are one stream of TAP. */
import { pathToFileURL } from 'node:url'

for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href)
