import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { formatCidr } from '../../src/base/ip.js'
import { delegate } from '../../src/cni/delegate-io.js'
import { type DelegatedCommand } from '../../src/cni/delegate.js'
import { cniError } from '../../src/cni/error.js'
import { type CniResult, writeResult } from '../../src/cni/result.js'
import { CNI_VERSIONS, type CniVersion, isCniVersion } from '../../src/cni/version.js'

/** The reference plugins for addresses, as Debian has them. */
const FOLDER = '/usr/lib/cni'
const skip = existsSync(join(FOLDER, 'host-local'))
  ? false
  : `${FOLDER}/host-local is absent (containernetworking-plugins)`

const dataDir = mkdtempSync(join(tmpdir(), 'netloom-host-local-'))
t.teardown(() => rmSync(dataDir, { recursive: true, force: true }))

const IPAM = {
  'host-local': {
    dataDir,
    ranges: [[{ subnet: '10.9.0.0/29' }], [{ subnet: 'fd09::/120', gateway: 'fd09::fe' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd08::/16', gw: 'fd09::9' }],
  },
  static: {
    addresses: [{ address: '10.9.1.2/24', gateway: '10.9.1.1' }, { address: 'fd09:1::2/64' }],
    routes: [{ dst: '10.0.0.0/8', gw: '10.9.1.9' }],
    dns: { nameservers: ['10.9.1.53'], domain: 'here', search: ['here', 'there'], options: ['ndots:2'] },
  },
} as const
type Plugin = keyof typeof IPAM

interface Call {
  readonly type?: Plugin
  readonly version?: CniVersion
  readonly containerId?: string
  readonly prevResult?: CniResult
  readonly more?: object
}

async function run(command: DelegatedCommand, { type = 'host-local', version = '1.0.0', ...fields }: Call) {
  const config = {
    cniVersion: version,
    name: 'delegated',
    type: 'netloom',
    ipam: { type, ...IPAM[type] },
    ...(fields.prevResult === undefined ? {} : { prevResult: writeResult(fields.prevResult, version) }),
    ...fields.more,
  }
  return delegate({
    type,
    command,
    cniVersion: version,
    env: { containerId: fields.containerId ?? 'c1', netns: '/run/netns/none', ifname: 'eth0', path: FOLDER },
    config: Buffer.from(JSON.stringify(config)),
    timeoutMs: 60_000,
  })
}

const refusal = async (command: DelegatedCommand, call: Call) =>
  run(command, call).then(
    () => t.fail(`${command} succeeded`),
    (error: unknown) => cniError(error, '1.0.0'),
  )

/** Addresses that host-local has given and not taken back. */
const reserved = (): string[] => readdirSync(join(dataDir, 'delegated')).filter((name) => /^[\da-f]*[.:]/.test(name))

/** Versions that a plugin says it knows, as far as we do. */
function versionsOf(type: Plugin): CniVersion[] {
  const { stdout } = spawnSync(join(FOLDER, type), {
    input: '{"cniVersion":"1.0.0"}',
    env: { CNI_COMMAND: 'VERSION' },
    encoding: 'utf8',
  })
  return (JSON.parse(stdout) as { supportedVersions: string[] }).supportedVersions.filter(isCniVersion)
}

const addressesOf = (result: CniResult | undefined) => result?.ips.map(({ address }) => formatCidr(address))

t.test('host-local gives addresses in every version it knows, and takes them back', { skip }, async (t) => {
  const versions = versionsOf('host-local')
  t.ok(versions.length > 0)
  for (const version of versions) {
    const containerId = `c-${version}`
    const given = await run('ADD', { version, containerId })
    t.match(
      given,
      {
        interfaces: [],
        ips: [{ gateway: '10.9.0.1' }, { gateway: 'fd09::fe' }],
        routes: [
          { destination: { address: '0.0.0.0', prefix: 0 } },
          { destination: { address: 'fd08::', prefix: 16 }, gateway: 'fd09::9' },
        ],
      },
      version,
    )
    t.match(addressesOf(given), [/^10\.9\.0\.[2-6]\/29$/, /^fd09::[\da-f]+\/120$/])
    t.same(reserved().length, 2)
    if (version !== '0.3.0' && version !== '0.3.1')
      t.equal(await run('CHECK', { version, containerId, ...(given && { prevResult: given }) }), undefined)
    await run('DEL', { version, containerId })
    t.same(reserved(), [])
    await run('DEL', { version, containerId })
    t.pass('and once more')
  }
})

t.test('static gives what the configuration says, in every version it knows', { skip }, async (t) => {
  for (const version of versionsOf('static')) {
    const given = await run('ADD', { type: 'static', version })
    t.same(addressesOf(given), ['10.9.1.2/24', 'fd09:1::2/64'], version)
    t.match(given, {
      routes: [{ destination: { address: '10.0.0.0', prefix: 8 }, gateway: '10.9.1.9' }],
      dns: IPAM.static.dns,
    })
    await run('DEL', { type: 'static', version })
  }
})

t.test('two containers get two addresses', { skip }, async (t) => {
  const given = await Promise.all(['a', 'b', 'c'].map((containerId) => run('ADD', { containerId })))
  t.equal(new Set(given.flatMap((result) => addressesOf(result))).size, 6)
  await Promise.all(['a', 'b', 'c'].map((containerId) => run('DEL', { containerId })))
  t.same(reserved(), [])
})

t.test("host-local's lack of addresses is told in its words, and nothing of the ADD stays", { skip }, async (t) => {
  const containers = ['1', '2', '3', '4', '5']
  for (const containerId of containers) await run('ADD', { containerId })
  const before = reserved().sort()
  t.match(await refusal('ADD', { containerId: '6' }), {
    details: /^plugin host-local: .*no IP addresses available in range set/,
  })
  t.same(reserved().sort(), before)
  for (const containerId of containers) await run('DEL', { containerId })
})

t.test('a CHECK finds what host-local no longer knows', { skip }, async (t) => {
  const given = await run('ADD', {})
  await run('DEL', {})
  t.match(await refusal('CHECK', given === undefined ? {} : { prevResult: given }), {
    details: /^plugin host-local: .*c1/,
  })
})

t.test('a version that a plugin does not know is its error, with its code', { skip }, async (t) => {
  const [unknown] = CNI_VERSIONS.filter((version) => !versionsOf('host-local').includes(version))
  if (unknown === undefined) return t.pass('it knows all of ours')
  return t.match(await refusal('ADD', { version: unknown }), {
    code: 1,
    msg: 'incompatible CNI versions',
    details: /^plugin host-local: incompatible CNI versions: .*plugin supports/,
  })
})
