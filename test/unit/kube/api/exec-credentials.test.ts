import t, { type Test } from 'tap'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ExecCredentials } from '../../../../src/kube/api/exec-credentials.js'
import { type ExecPlugin } from '../../../../src/kube/api/exec-plugin.js'

const V1 = 'client.authentication.k8s.io/v1'
const SECRET = 's3cret'

/** A plugin that is a script; `$DIR` is a folder of its own. */
function plugin(t: Test, script: string, fields: Partial<ExecPlugin> = {}): { plugin: ExecPlugin; dir: string } {
  const dir = t.testdir({})
  const path = join(dir, 'plugin')
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const base = {
    apiVersion: V1,
    command: path,
    args: [],
    env: { DIR: dir },
    installHint: '',
    cluster: undefined,
  } as const
  return { dir, plugin: { ...base, field: 'users[0].user.exec', ...fields } }
}

const answer = (status: object): string => `cat <<'END'
${JSON.stringify({ apiVersion: V1, kind: 'ExecCredential', status })}
END`

const counted = (status: object): string => `echo x >>"$DIR/runs"\n${answer(status)}`
const runs = (dir: string): number => readFileSync(join(dir, 'runs'), 'utf8').length / 2

t.test('what a plugin issues is used until it ends', async (t) => {
  const { plugin: it, dir } = plugin(t, counted({ token: SECRET, expirationTimestamp: '2030-01-01T00:00:00Z' }))
  let now = Date.parse('2029-12-31T00:00:00Z')
  const credentials = new ExecCredentials(it, { now: () => now })
  const [one, two] = await Promise.all([credentials.proof(), credentials.proof()])
  t.same([one, two], Array(2).fill({ token: SECRET, certificate: undefined }), 'calls at once share a run')
  await credentials.proof()
  t.equal(runs(dir), 1)
  now = Date.parse('2029-12-31T23:59:55Z')
  await credentials.proof()
  t.equal(runs(dir), 2, 'and not in its last seconds')
})

t.test('what the server refused is issued anew', async (t) => {
  const { plugin: it, dir } = plugin(t, counted({ clientCertificateData: 'CERT', clientKeyData: 'KEY' }))
  const credentials = new ExecCredentials(it)
  t.same(await credentials.proof(), { token: undefined, certificate: { cert: 'CERT', key: 'KEY' } })
  await credentials.proof()
  credentials.expire()
  await credentials.proof()
  t.equal(runs(dir), 2)
})

t.test('a plugin gets its arguments as they are, its variables, and what it is told of the cluster', async (t) => {
  const script = `printf '%s' "$1" >"$DIR/arg"; printf '%s' "$KUBERNETES_EXEC_INFO" >"$DIR/info"\n${answer({ token: 'x' })}`
  const cluster = { server: 'https://x' }
  const { plugin: it, dir } = plugin(t, script, { args: ['a b; $(exit 1)'], cluster })
  await new ExecCredentials(it).proof()
  t.equal(readFileSync(join(dir, 'arg'), 'utf8'), 'a b; $(exit 1)')
  t.same(JSON.parse(readFileSync(join(dir, 'info'), 'utf8')), {
    apiVersion: V1,
    kind: 'ExecCredential',
    spec: { interactive: false, cluster },
  })
})

const REFUSALS: Record<string, [script: string, message: RegExp]> = {
  'a failure': [`echo ${SECRET}; exit 3`, /ended with 3/],
  'no JSON': [`echo ${SECRET}`, /not answer a JSON object/],
  'another kind': [`echo '{"kind": "${SECRET}"}'`, /not answer an ExecCredential/],
  'a status that is a text': [
    `echo '{"kind":"ExecCredential","apiVersion":"${V1}","status":"${SECRET}"}'`,
    /no status/,
  ],
  'nothing to prove with': [answer({ other: SECRET }), /neither token nor certificate/],
  'half of a certificate': [answer({ clientCertificateData: SECRET }), /half/],
  'a time that is none': [answer({ token: SECRET, expirationTimestamp: 'soon' }), /no time/],
  'too much': ['head -c 2000000 /dev/zero', /prints too much/],
}

t.test('a plugin that fails is named, without what it printed', async (t) => {
  for (const [what, [script, message]] of Object.entries(REFUSALS)) {
    const proof = new ExecCredentials(plugin(t, script).plugin).proof()
    await t.rejects(proof, { code: 'denied', field: 'users[0].user.exec', message }, what)
    await proof.catch((error: unknown) => t.notMatch(`${String(error)} ${JSON.stringify(error)}`, SECRET, what))
  }
})

t.test('a plugin that hangs is ended', async (t) => {
  const { plugin: it } = plugin(t, 'exec sleep 60')
  await t.rejects(new ExecCredentials(it, { timeoutMs: 50 }).proof(), { code: 'denied', message: /SIGKILL/ })
})

t.test('where the plugin is not there, its hint is told', async (t) => {
  const { plugin: it } = plugin(t, '', { command: '/nowhere/aws', installHint: 'apt install aws\n' })
  await t.rejects(new ExecCredentials(it).proof(), { code: 'invalid', message: /\/nowhere\/aws.*\(apt install aws\)/ })
})
