import t from 'tap'
import { atLeast, CNI_VERSIONS, isCniVersion, LATEST_VERSION } from '../../../src/cni/version.js'

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
