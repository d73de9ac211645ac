import t from 'tap'
import { COMMANDS } from '../../../src/cni/request.js'
import {
  atLeast,
  CNI_VERSIONS,
  type CniVersion,
  isCniVersion,
  LATEST_VERSION,
  VERB_SINCE,
} from '../../../src/cni/version.js'

t.test('versions are known by their exact text', async (t) => {
  for (const version of CNI_VERSIONS) t.ok(isCniVersion(version))
  for (const text of ['', '1', '1.1', 'v1.1.0', '1.1.0 ', '0.2.0', '2.0.0']) t.notOk(isCniVersion(text), text)
})

t.test('each version has what the ones before it had', async (t) => {
  CNI_VERSIONS.forEach((version, i) =>
    CNI_VERSIONS.forEach((since, j) =>
      t.equal(atLeast(version, since), i >= j, `${version} has what came with ${since}`),
    ),
  )
  t.ok(CNI_VERSIONS.every((version) => atLeast(LATEST_VERSION, version)))
})

t.test('each verb is there from its version on', async (t) => {
  t.same(new Set(Object.keys(VERB_SINCE)), new Set(COMMANDS))
  const verbs = (version: CniVersion): string[] =>
    COMMANDS.filter((command) => atLeast(version, VERB_SINCE[command])).sort()
  t.same(verbs('0.3.0'), ['ADD', 'DEL'])
  t.same(verbs('0.3.1'), ['ADD', 'DEL'])
  t.same(verbs('0.4.0'), ['ADD', 'CHECK', 'DEL'])
  t.same(verbs('1.0.0'), ['ADD', 'CHECK', 'DEL'])
  t.same(verbs('1.1.0'), [...COMMANDS].sort())
})
