import t from 'tap'
import { Cursor } from '../../../../src/model/cursor.js'
import { readExecPlugin } from '../../../../src/kube/api/exec-plugin.js'

const V1 = 'client.authentication.k8s.io/v1'

const CLUSTER = new Cursor({
  server: 'https://x',
  'certificate-authority-data': 'abc',
  'certificate-authority': '/not/told',
  extensions: [
    { name: 'other', extension: 1 },
    { name: 'client.authentication.k8s.io/exec', extension: { audience: 'y' } },
  ],
})

const read = (fields: object) => readExecPlugin(new Cursor({ apiVersion: V1, ...fields }), CLUSTER, '/folder')

t.test('a name is for PATH to find, a path is relative to the kubeconfig', async (t) => {
  const commandOf = (command: string) => read({ command, interactiveMode: 'Never' }).command
  t.equal(commandOf('aws'), 'aws')
  t.equal(commandOf('./aws'), '/folder/aws')
  t.equal(commandOf('/bin/aws'), '/bin/aws')
})

t.test('arguments, variables and a hint are kept', async (t) => {
  const env = [{ name: 'A', value: '1' }]
  const plugin = read({ command: 'x', interactiveMode: 'IfAvailable', args: ['a', 'b'], env, installHint: 'get it' })
  t.match(plugin, { args: ['a', 'b'], env: { A: '1' }, installHint: 'get it', cluster: undefined })
})

t.test('only a plugin that wants to know is told of the cluster', async (t) => {
  t.same(read({ command: 'x', interactiveMode: 'Never', provideClusterInfo: true }).cluster, {
    server: 'https://x',
    'certificate-authority-data': 'abc',
    config: { audience: 'y' },
  })
})

t.test('v1beta1 need not say whether it needs a terminal', async (t) => {
  t.equal(read({ apiVersion: `${V1}beta1`, command: 'x' }).apiVersion, `${V1}beta1`)
})
