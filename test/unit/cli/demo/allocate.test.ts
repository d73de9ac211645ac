import t from 'tap'
import { cidrContains } from '../../../../src/base/ip.js'
import { allocateServices, SERVICE_CIDRS } from '../../../../src/cli/demo/allocate.js'
import { parseManifests } from '../../../../src/cli/demo/manifests.js'

const allocate = (...specs: string[]) => allocateServices(parseManifests('s.yaml', documents(specs)).objects)

const documents = (specs: readonly string[]): string =>
  specs
    .map(
      (spec, i) => `apiVersion: v1\nkind: Service\nmetadata: { name: s${i} }\nspec: { ports: [{ port: 80 }]${spec} }\n`,
    )
    .join('---\n')

const families = (spec: string): string[] =>
  allocate(spec)[0]?.service.clusterIPs.map(({ family }) => family.kubernetes) ?? []

t.test('families follow policy, families and addresses of the Service', async (t) => {
  const rows: readonly [spec: string, families: string[]][] = [
    ['', ['IPv4']],
    [', ipFamilies: [IPv6]', ['IPv6']],
    [', ipFamilyPolicy: SingleStack', ['IPv4']],
    [', ipFamilyPolicy: PreferDualStack', ['IPv4', 'IPv6']],
    [', ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]', ['IPv6', 'IPv4']],
    [', ipFamilies: [IPv6, IPv4]', ['IPv6', 'IPv4']],
    [', clusterIP: "fd00:96::77"', ['IPv6']],
    [', clusterIP: None', []],
    [', type: ExternalName, externalName: example.com', []],
    [', type: LoadBalancer', ['IPv4']],
  ]
  for (const [spec, wanted] of rows) t.same(families(spec), wanted, spec)
})

t.test('addresses are within the ranges, each once, and those that are asked for stay', async (t) => {
  const services = allocate('', ', clusterIP: 10.96.0.17', '', ', ipFamilyPolicy: PreferDualStack')
  const all = services.flatMap(({ service }) => service.clusterIPs)
  t.equal(new Set(all.map(({ address }) => address)).size, all.length)
  for (const { family, address } of all) t.ok(cidrContains(SERVICE_CIDRS[family.name], address), address)
  t.same(
    services[1]?.service.clusterIPs.map(({ address }) => address),
    ['10.96.0.17'],
  )
})

t.test('the object has what the API server writes', async (t) => {
  const [one] = allocate(', ipFamilyPolicy: PreferDualStack')
  t.match(one?.value, {
    spec: {
      clusterIP: '10.96.0.16',
      clusterIPs: ['10.96.0.16', 'fd00:96::10'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'PreferDualStack',
      ports: [{ port: 80 }],
    },
  })
})

t.test('contradictions are errors with file, line and field', async (t) => {
  t.throws(() => allocate(', clusterIP: 10.96.0.50', ', clusterIP: 10.96.0.50'), {
    message: 's.yaml:9: spec.clusterIP: 10.96.0.50 is the address of Service default/s0 already',
  })
  t.throws(() => allocate(', ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6]'), {
    field: 'spec.ipFamilyPolicy',
    code: 'invalid',
  })
  t.throws(() => allocate(', ipFamilies: [IPv5]'), { message: /^s\.yaml:4: spec\.ipFamilies\[0\]: / })
})
