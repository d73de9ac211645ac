import { Lab, SEGMENT_HOST } from './lab.js'
import { ClusterObjects, type ClusterOptions } from './lab-objects.js'
import { type TestContext } from './node.js'

/** node-lifecycle-controller is left out: nobody here is kubelet, whose word it would miss. */
const CONTROLLERS = ['endpointslice-controller', 'garbage-collector-controller', 'serviceaccount-controller']

export interface ClusterLab {
  readonly lab: Lab
  readonly objects: ClusterObjects
}

/** Nodes on a segment with agents of a real API server, which is on the segment as well; all end with the test. */
export async function raiseCluster(
  t: TestContext,
  count: number,
  options: Partial<ClusterOptions> = {},
): Promise<ClusterLab> {
  let objects: ClusterObjects | undefined
  const addresses = SEGMENT_HOST.map(({ address }) => address)
  const start = async () => (objects = await ClusterObjects.start({ addresses, controllers: CONTROLLERS, ...options }))
  const lab = await Lab.on(start, count)
  t.teardown(() => lab.close())
  if (objects === undefined) throw new Error('no cluster')
  return { lab, objects }
}
