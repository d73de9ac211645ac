import { type Cidr, formatCidr, type IpPrefix, parseCidr, parseIp, parseIpPrefix } from '../base/ip.js'
import { IPV4 } from '../base/family.js'
import { type Cursor } from '../model/cursor.js'
import { atLeast, type CniVersion } from './version.js'

export interface ResultInterface {
  readonly name: string
  readonly mac?: string
  readonly mtu?: number
  readonly sandbox?: string
}
export interface ResultIp {
  readonly address: IpPrefix
  readonly gateway?: string
  readonly interface?: number
}
export interface ResultRoute {
  readonly destination: Cidr
  readonly gateway?: string
}
export interface CniResult {
  readonly interfaces: readonly ResultInterface[]
  readonly ips: readonly ResultIp[]
  readonly routes: readonly ResultRoute[]
  readonly dns: Readonly<Record<string, unknown>>
}

export function parseResult(place: Cursor): CniResult {
  return {
    interfaces: place.field('interfaces').list((one) => one.value as ResultInterface),
    ips: place.field('ips').list((one) => ({
      address: one.field('address').address(parseIpPrefix),
      ...(one.field('gateway').absent ? {} : { gateway: one.field('gateway').address(parseIp).address }),
      ...(one.field('interface').absent ? {} : { interface: one.field('interface').value as number }),
    })),
    routes: place.field('routes').list((one) => ({ destination: one.field('dst').address(parseCidr) })),
    dns: {},
  }
}

export function writeResult({ interfaces, ips, routes, dns }: CniResult, cniVersion: CniVersion): object {
  return {
    cniVersion,
    interfaces: interfaces.map(({ mtu, ...rest }) => ({ ...rest, ...(atLeast(cniVersion, '1.1.0') ? { mtu } : {}) })),
    ips: ips.map(({ address, interface: index, ...rest }) => ({
      ...(atLeast(cniVersion, '1.0.0') ? {} : { version: address.family === IPV4 ? '4' : '6' }),
      interface: index,
      address: formatCidr(address),
      ...rest,
    })),
    routes: routes.map(({ destination, gateway }) => ({ dst: formatCidr(destination), gw: gateway })),
    dns,
  }
}
