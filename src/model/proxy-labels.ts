import { type Cursor } from './cursor.js'

/** Names another proxy, which serves the Service; the EndpointSlice controller copies it to the Service's slices. */
export const PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name'

/** The EndpointSlice controller puts it on the slices of headless Services, where nothing is to be translated. */
export const HEADLESS_LABEL = 'service.kubernetes.io/headless'

/**
 * True where an object has neither label: kube-proxy asks for no other Services and slices. Whatever the labels'
 * value, also an empty one: that they are there is enough.
 */
export function readProxied(object: Cursor): boolean {
  const labels = object.field('metadata').field('labels')
  return labels.field(PROXY_NAME_LABEL).absent && labels.field(HEADLESS_LABEL).absent
}
