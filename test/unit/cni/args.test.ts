import t from 'tap'
import { CNI_CODE } from '../../../src/cni/error.js'
import { parseArgs } from '../../../src/cni/args.js'

t.test('what runtimes of Kubernetes tell', async (t) => {
  t.strictSame(parseArgs('IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=7;X=1=2'), {
    pod: 'shop/web',
    podUid: '7',
    ips: [],
    mac: undefined,
  })
})

t.test('what people ask for', async (t) => {
  t.match(parseArgs('IP=10.1.0.9,fd00::9;MAC=02:00:00:00:00:09'), {
    ips: ['10.1.0.9', 'fd00::9'],
    mac: '02:00:00:00:00:09',
  })
})

const PODS: Readonly<Record<string, string | undefined>> = {
  'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web': 'shop/web',
  'K8S_POD_NAME=web;K8S_POD_NAMESPACE=shop': 'shop/web',
  'K8S_POD_NAME=web': undefined,
  'K8S_POD_NAMESPACE=;K8S_POD_NAME=web': undefined,
  'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=': undefined,
  ';;': undefined,
  '': undefined,
}

t.test('the pod is known where both its namespace and its name are told', async (t) => {
  for (const [args, pod] of Object.entries(PODS)) t.equal(parseArgs(args).pod, pod, args)
})

const REFUSED: Readonly<Record<string, readonly [args: string, message: RegExp]>> = {
  'no value': ['K8S_POD_NAME', /'K8S_POD_NAME' is not KEY=VALUE/],
  'no key': ['=1', /'=1' is not KEY=VALUE/],
  'a key that nobody knows': ['Stranger=1', /'Stranger'.*IgnoreUnknown/],
  'a key that nobody knows, and IgnoreUnknown switched off': ['IgnoreUnknown=0;Stranger=1', /'Stranger'/],
  'IgnoreUnknown that says neither': ['IgnoreUnknown=yes;Stranger=1', /IgnoreUnknown 'yes'/],
  'a key that every object has': ['constructor=1', /'constructor'/],
}

for (const [name, [args, message]] of Object.entries(REFUSED))
  t.test(`refused with code 4, naming CNI_ARGS: ${name}`, async (t) => {
    t.throws(() => parseArgs(args), { cniCode: CNI_CODE.INVALID_ENVIRONMENT, field: 'CNI_ARGS', message })
  })

t.test('IgnoreUnknown lets everything pass', async (t) => {
  for (const flag of ['1', 'true', 'TRUE']) t.doesNotThrow(() => parseArgs(`Stranger=1;IgnoreUnknown=${flag}`), flag)
})
