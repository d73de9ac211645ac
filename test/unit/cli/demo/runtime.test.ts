import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Cursor } from '../../../../src/model/cursor.js'
import { readPod } from '../../../../src/model/pod.js'
import { parseResult, Runtime } from '../../../../src/cli/demo/runtime.js'

const sandbox = {
  pod: readPod(new Cursor({ metadata: { name: 'web-0', namespace: 'shop' } })),
  node: 'node-1',
  namespace: 'pod-shop-web-0',
}

/** A plugin that answers with what it was given. */
function plugin(t: { testdir: () => string }, script: string): Runtime {
  const executable = join(t.testdir(), 'plugin')
  writeFileSync(executable, `#!/bin/sh\n${script}\n`)
  chmodSync(executable, 0o755)
  return new Runtime({ executable, socketOf: (node) => `/run/${node}.sock` })
}

t.test('the addresses are those of the result', async (t) => {
  t.match(parseResult('{"ips":[{"address":"10.244.1.2/32"},{"address":"FD00:0::2/128"}]}'), [
    { address: '10.244.1.2' },
    { address: 'fd00::2' },
  ])
  t.throws(() => parseResult('{"ips":[{"address":"10.244.1.2"}]}'), { field: 'ips[0].address', code: 'invalid' })
})

t.test('the plugin is called as the specification says', async (t) => {
  const runtime = plugin(
    t,
    `test "$CNI_COMMAND $CNI_IFNAME $CNI_NETNS" = "ADD eth0 /run/netns/pod-shop-web-0" || exit 1
     test "$CNI_ARGS" = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0" || exit 2
     grep -q '"agentSocket":"/run/node-1.sock"' || exit 3
     echo '{"cniVersion":"1.1.0","ips":[{"address":"10.244.1.2/32"}]}'`,
  )
  t.match(await runtime.add(sandbox), [{ address: '10.244.1.2' }])
})

t.test("a plugin's error is the error, with its details", async (t) => {
  const runtime = plugin(
    t,
    `echo '{"cniVersion":"1.1.0","code":11,"msg":"try again later","details":"no agent"}'; exit 1`,
  )
  await t.rejects(runtime.add(sandbox), { message: 'CNI ADD of shop/web-0: try again later: no agent' })
  await t.rejects(plugin(t, 'exit 9').delete(sandbox), { message: /^CNI DEL of shop\/web-0: / })
})
