import t from 'tap'
import { loadSettings } from '../../../src/daemon/settings-io.js'

t.test('the file is named by a flag, else by a variable', async (t) => {
  const folder = t.testdir({ 'a.yaml': 'node: by-a', 'b.yaml': 'node: by-b', 'empty.yaml': '' })
  const nodeOf = (config: string | undefined, NETLOOM_CONFIG = '') =>
    loadSettings({ source: 'dir:/x', config }, { NETLOOM_CONFIG, NODE_NAME: 'by-default' }).settings.node
  t.equal(nodeOf(`${folder}/a.yaml`), 'by-a')
  t.equal(nodeOf(undefined, `${folder}/b.yaml`), 'by-b')
  t.equal(nodeOf(`${folder}/a.yaml`, `${folder}/b.yaml`), 'by-a')
  t.equal(nodeOf(`${folder}/empty.yaml`), 'by-default')
  t.equal(nodeOf(undefined), 'by-default')
})

t.test('a file that cannot be read ends the start with its name', async (t) => {
  for (const path of ['/nowhere/config.yaml', '/'])
    t.throws(() => loadSettings({ source: 'dir:/x', config: path }, {}), {
      code: 'io',
      field: '--config',
      message: /^--config: E(NOENT|ISDIR)/,
    })
})

t.test("claims are kept in the pod's own namespace", async (t) => {
  const { settings } = loadSettings({ source: 'api', kubeconfig: '/k' }, { POD_NAMESPACE: 'netloom' })
  t.equal(settings.claimNamespace, 'netloom')
})
