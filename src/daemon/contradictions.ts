import { invalid, type NetloomError } from '../base/errors.js'
import { FAMILIES, IPV6 } from '../base/family.js'
import { formatCidr } from '../base/ip.js'
import { firstOverlap, PREFIX_LENGTH } from '../subnets/networks.js'
import { type AgentSettings, isInCluster, type SettingKey, type Surroundings } from './settings.js'

/** Settings with what tells of them. */
export interface Settled {
  readonly settings: AgentSettings
  readonly surroundings: Surroundings
  /** Whether somebody set it; what nobody set contradicts nothing. */
  readonly isSet: (key: SettingKey) => boolean
  /** How the person who set it knows it: a flag, a variable, or the line of a file. */
  readonly placeOf: (key: SettingKey) => string
}

/** Two settings that cannot stand together. */
interface Contradiction {
  /** The one that has no effect, or does harm, beside the other. */
  readonly key: SettingKey
  readonly with: SettingKey
  /** The problem, between the names of the two; undefined where there is none. */
  readonly problem: (settled: Settled) => string | undefined
}

/** What somebody set, though another setting leaves it without effect. */
const idle = (keys: readonly SettingKey[], other: SettingKey, why: string, when: Condition): Contradiction[] =>
  keys.map((key) => ({
    key,
    with: other,
    problem: (settled) => (settled.isSet(key) && when(settled) ? why : undefined),
  }))

type Condition = (settled: Settled) => boolean

const fromFolder: Condition = ({ settings }) => settings.source.kind === 'directory'
const installsNoList: Condition = ({ settings }) => settings.cniConfDir === undefined

/** By what they leave out of account: the first is told. */
const CONTRADICTIONS: readonly Contradiction[] = [
  ...idle(
    ['kubeconfig', 'clusterNetworks', 'claimNamespace'],
    'source',
    'needs an API server, which is not',
    fromFolder,
  ),
  {
    key: 'source',
    with: 'kubeconfig',
    problem: ({ settings, surroundings }) =>
      settings.source.kind === 'api' && settings.kubeconfig === undefined && !isInCluster(surroundings)
        ? 'is api, which outside of a cluster needs'
        : undefined,
  },
  ...idle(
    ['vxlanPort', 'vxlanVni'],
    'routeMode',
    'is for tunnels, and there are none with',
    ({ settings }) => settings.routeMode === 'direct',
  ),
  ...idle(['nodeInterface'], 'nodeCidr', 'chooses addresses of the node, and so does', ({ isSet }) =>
    isSet('nodeCidr'),
  ),
  ...FAMILIES.flatMap(({ name, kubernetes }) =>
    idle(
      [PREFIX_LENGTH[name].key],
      'clusterNetworks',
      `is for ${kubernetes} networks to claim, and there are none in`,
      ({ settings }) => settings.clusterNetworks.every(({ family }) => family.name !== name),
    ),
  ),
  ...FAMILIES.map(({ name }): Contradiction => ({
    key: PREFIX_LENGTH[name].key,
    with: 'clusterNetworks',
    problem: ({ settings }) => {
      const small = settings.clusterNetworks.find(
        ({ family, prefix }) => family.name === name && prefix >= settings[PREFIX_LENGTH[name].key],
      )
      return (
        small && `is ${settings[PREFIX_LENGTH[name].key]}, which is not longer than that of ${formatCidr(small)} of`
      )
    },
  })),
  {
    key: 'mtu',
    with: 'clusterNetworks',
    // RFC 8200, section 5.
    problem: ({ settings: { mtu, clusterNetworks } }) =>
      mtu !== 'auto' && mtu < 1280 && clusterNetworks.some(({ family }) => family === IPV6)
        ? `is ${mtu}, and IPv6 needs 1280, which is in`
        : undefined,
  },
  ...idle(
    ['cniConfName', 'cniMode', 'cniWait'],
    'cniConfDir',
    'is for the list of plugins, installed with',
    installsNoList,
  ),
]

/** The first two settings that contradict each other, as an error that names both; undefined where none do. */
export function contradictionIn(settled: Settled): NetloomError | undefined {
  for (const { key, with: other, problem } of CONTRADICTIONS) {
    const found = problem(settled)
    if (found === undefined) continue
    const place = settled.placeOf(key)
    return invalid(place, `${found} ${settled.placeOf(other)}`)
  }
  return overlapIn(settled)
}

/** Networks of one setting that hold each other. */
function overlapIn({ settings, placeOf }: Settled): NetloomError | undefined {
  const [first, second] = firstOverlap(settings.clusterNetworks) ?? []
  if (first === undefined || second === undefined) return undefined
  return invalid(placeOf('clusterNetworks'), `${formatCidr(first)} and ${formatCidr(second)} overlap`)
}
