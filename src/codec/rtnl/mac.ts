import { invalid } from '../../base/errors.js'

/** Ethernet addresses: six bytes on the wire, `aa:bb:cc:dd:ee:ff` in lower case everywhere else. */

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i

/** @throws NetloomError `invalid`, naming `field`, where the text is not six hexadecimal pairs. */
export function macToBytes(mac: string, field = 'mac'): Buffer {
  if (!MAC.test(mac)) throw invalid(field, `'${mac}' is not an Ethernet address`)
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

/** Text of a link-layer address of any length; undefined for none, as of links without one. */
export function bytesToMac(bytes: Buffer | undefined): string | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined
  return bytes.toString('hex').replace(/..(?=.)/g, '$&:')
}
