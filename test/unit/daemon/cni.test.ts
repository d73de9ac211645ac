import { pino } from 'pino'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { CNI_VERSIONS } from '../../../src/cni/version.js'
import { type CniRequest } from '../../../src/cni/request.js'
import { type Attachments } from '../../../src/daemon/attachments.js'
import { answerCni, answerEarly } from '../../../src/daemon/cni.js'

/** Attachments that remember what was asked of them, and answer or fail as told. */
class Remembering {
  readonly calls: string[] = []
  error: Error | undefined

  async #call(verb: string, { containerId }: CniRequest): Promise<void> {
    this.calls.push(`${verb} ${containerId}`.trim())
    if (this.error !== undefined) throw this.error
  }

  async add(request: CniRequest): Promise<object> {
    await this.#call('add', request)
    return { cniVersion: request.config.cniVersion, ips: [] }
  }

  del = (request: CniRequest): Promise<void> => this.#call('del', request)
  check = (request: CniRequest): Promise<void> => this.#call('check', request)
  gc = (request: CniRequest): Promise<void> => this.#call('gc', request)
  status = (request: CniRequest): Promise<void> => this.#call('status', request)
}

const CONFIG = { cniVersion: '1.1.0', name: 'pods', type: 'netloom', 'cni.dev/valid-attachments': [] }

const body = (command: string, config: object = CONFIG) => ({
  method: 'cni',
  command,
  containerId: 'c1',
  netns: '/run/netns/a',
  ifname: 'eth0',
  config: Buffer.from(JSON.stringify(config)),
})

function world(reason?: string) {
  const attachments = new Remembering()
  const options = {
    attachments: attachments as unknown as Attachments,
    notReady: () => reason,
    log: pino({ level: 'silent' }),
  }
  return { attachments, options }
}

t.test('ADD prints its result on one line, with exit code 0', async (t) => {
  const { attachments, options } = world()
  const { exit, output } = await answerCni(body('ADD'), options)
  t.equal(exit, 0)
  t.same(JSON.parse(output), { cniVersion: '1.1.0', ips: [] })
  t.match(output, /^[^\n]*\n$/)
  t.same(attachments.calls, ['add c1'])
})

t.test('DEL, CHECK, GC and STATUS print nothing where all is well', async (t) => {
  for (const verb of ['DEL', 'CHECK', 'GC', 'STATUS']) {
    const { attachments, options } = world()
    t.same(await answerCni(body(verb), options), { exit: 0, output: '' }, verb)
    t.same(attachments.calls, [`${verb.toLowerCase()} c1`])
  }
})

t.test('VERSION tells all versions', async (t) => {
  for (const config of [CONFIG, { cniVersion: '1.1.0' }, {}]) {
    const { exit, output } = await answerCni(body('VERSION', config), world('not ready').options)
    t.equal(exit, 0)
    t.same(JSON.parse(output), { cniVersion: '1.1.0', supportedVersions: CNI_VERSIONS })
  }
})

t.test('before the agent is ready the runtime is told to come again, and nothing is touched', async (t) => {
  for (const [verb, code] of Object.entries({ ADD: 11, DEL: 11, CHECK: 11, GC: 11, STATUS: 50 })) {
    const { attachments, options } = world('no Node object named n1')
    const { exit, output } = await answerCni(body(verb), options)
    t.equal(exit, 1)
    t.match(JSON.parse(output), { cniVersion: '1.1.0', code, details: 'no Node object named n1' }, verb)
    t.same(attachments.calls, [])
  }
})

t.test('while the agent is starting the executable is told to ask again', async (t) => {
  for (const [verb, code] of Object.entries({ ADD: 11, DEL: 11, CHECK: 11, GC: 11, STATUS: 50 })) {
    const { exit, output, retry } = answerEarly(body(verb, { ...CONFIG, cniVersion: '1.0.0' }), 'the agent is starting')
    t.same([exit, retry], [1, true], verb)
    t.match(JSON.parse(output), { cniVersion: '1.0.0', code, details: 'the agent is starting' }, verb)
  }
  t.notOk('retry' in (await answerCni(body('ADD'), world('no Node object named n1').options)), 'but not later on')
})

t.test('an error is printed with its code, in the version of the configuration', async (t) => {
  const { attachments, options } = world()
  attachments.error = new NetloomError('exhausted', 'no free address in 10.1.0.0/24')
  const { exit, output } = await answerCni(body('ADD'), options)
  t.equal(exit, 1)
  t.strictSame(JSON.parse(output), {
    cniVersion: '1.1.0',
    code: 102,
    msg: 'no free address',
    details: 'no free address in 10.1.0.0/24',
  })
})

t.test('a call that cannot be read is answered as the specification wants, and never thrown', async (t) => {
  const { options } = world()
  const { output: environment } = await answerCni({ ...body('ADD'), containerId: '' }, options)
  t.match(JSON.parse(environment), { code: 4, details: /CNI_CONTAINERID/ })
  const { output: config } = await answerCni({ method: 'cni', command: 'ADD' }, options)
  t.match(JSON.parse(config), { cniVersion: '1.1.0', code: 6 })
  const { output: version } = await answerCni(body('ADD', { ...CONFIG, cniVersion: '9' }), options)
  t.match(JSON.parse(version), { code: 1 })
})

t.test('a failure that is nobody’s fault but ours is told as one', async (t) => {
  const { attachments, options } = world()
  attachments.error = new TypeError('x is not a function')
  const { output } = await answerCni(body('ADD'), options)
  t.match(JSON.parse(output), { code: 104, details: 'x is not a function' })
})
