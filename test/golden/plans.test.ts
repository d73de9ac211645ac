import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { ROOT } from '../support/cni-exec.js'
import { antispoofPlans } from './plans/antispoof.js'
import { attachPlans } from './plans/attach.js'
import { bandwidthPlans } from './plans/bandwidth.js'
import { hostPortPlans } from './plans/hostports.js'
import { isolationPlans } from './plans/isolation.js'
import { masqueradePlans } from './plans/masquerade.js'
import { proxyPlans } from './plans/proxy.js'
import { routesPlans } from './plans/routes.js'
import { tunnelGuardPlans } from './plans/tunnelguard.js'
import { type Planner } from './plans/section.js'

/**
 * A folder is a case: `input.yaml` and the operations it leads to, `plan.txt`, as lines that a person could paste.
 * With UPDATE=1 in the environment the plans are written instead of compared: read the difference before it is kept.
 */
const PLANNERS: Readonly<Record<string, Planner>> = {
  antispoof: antispoofPlans,
  attach: attachPlans,
  bandwidth: bandwidthPlans,
  hostports: hostPortPlans,
  isolation: isolationPlans,
  masquerade: masqueradePlans,
  proxy: proxyPlans,
  routes: routesPlans,
  tunnelguard: tunnelGuardPlans,
}

const GOLDEN = join(ROOT, 'test', 'golden')

/** Sections as text: a comment each, and the operations below it. */
function textOf(planner: Planner, input: string): string {
  const documents: unknown[] = parseAllDocuments(input).map(
    (document) => document.toJS({ maxAliasCount: 0 }) as unknown,
  )
  return planner(documents)
    .map(({ title, plan }) => `# ${title}\n${plan === '' ? '# nothing to do\n' : plan}`)
    .join('\n')
}

for (const [area, planner] of Object.entries(PLANNERS)) {
  const cases = readdirSync(join(GOLDEN, area))
  t.test(`${area}: there are cases`, async (t) => t.ok(cases.length > 0))
  for (const name of cases)
    t.test(`${area}: ${name.replaceAll('-', ' ')}`, async (t) => {
      const [input, expected] = ['input.yaml', 'plan.txt'].map((file) => join(GOLDEN, area, name, file)) as [
        string,
        string,
      ]
      const text = textOf(planner, readFileSync(input, 'utf8'))
      if (process.env['UPDATE'] === '1') writeFileSync(expected, text)
      t.ok(existsSync(expected), 'there is a plan; UPDATE=1 makes one')
      t.equal(text, readFileSync(expected, 'utf8'))
    })
}
