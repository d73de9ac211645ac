import t from 'tap'
import { parseObject } from '../../../src/model/object.js'
import { FileObjects } from '../../../src/kube/file-objects.js'
import { type LocatedObject } from '../../../src/kube/manifest.js'
import { type Change, Store } from '../../../src/kube/store.js'

const node = (name: string, zone: string, line = 1): LocatedObject => ({
  object: parseObject({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } },
  })!,
  line,
})

class World {
  readonly store = new Store()
  readonly files = new FileObjects(this.store)

  update(updates: Record<string, readonly LocatedObject[] | undefined>): string[] {
    const changes = this.files.update(new Map(Object.entries(updates)))
    this.store.apply(changes)
    return changes.map(textOf)
  }

  duplicates(): string[] {
    return [...this.files.duplicates()].flatMap(([file, flaws]) =>
      flaws.map(({ message, line }) => `${file}:${String(line)} ${message}`),
    )
  }
}

const zone = (object: Change['after']): string => (object?.kind === 'Node' ? String(object.zone) : '')
const textOf = ({ key, before, after }: Change): string => `${key} ${zone(before)}>${zone(after)}`

t.test('objects come, change and go with their file', async (t) => {
  const world = new World()
  t.same(world.update({ 'a.yaml': [node('n1', 'z1'), node('n2', 'z1')] }), ['n1 >z1', 'n2 >z1'])
  t.same(world.update({ 'a.yaml': [node('n2', 'z2', 5)] }).sort(), ['n1 z1>', 'n2 z1>z2'])
  t.same(world.update({ 'a.yaml': [node('n2', 'z2', 7)] }), [], 'another line is no change')
  t.same(world.update({ 'a.yaml': undefined }), ['n2 z2>'])
  t.equal(world.files.has('a.yaml'), false)
})

t.test('an object that moves to another file does not change', async (t) => {
  const world = new World()
  world.update({ 'a.yaml': [node('n1', 'z1')] })
  t.same(world.update({ 'b.yaml': [node('n1', 'z1')], 'a.yaml': undefined }), [])
  t.same(world.update({ 'a.yaml': [node('n1', 'z1')], 'b.yaml': undefined }), [])
  t.same(world.duplicates(), [])
})

t.test('of an object in two files the first by path counts, whichever was read first', async (t) => {
  for (const order of [
    ['a.yaml', 'b.yaml'],
    ['b.yaml', 'a.yaml'],
  ]) {
    const world = new World()
    for (const file of order) world.update({ [file]: [node('n1', file === 'a.yaml' ? 'first' : 'second', 3)] })
    t.equal(world.store.get('Node', 'n1')?.zone, 'first')
    t.same(world.duplicates(), ['b.yaml:3 Node n1 is in a.yaml already, which counts'])
    t.same(world.update({ 'a.yaml': undefined }), ['n1 first>second'])
    t.same(world.duplicates(), [])
  }
})

t.test('of an object twice in one file the first counts', async (t) => {
  const world = new World()
  t.same(world.update({ 'a.yaml': [node('n1', 'first', 1), node('n1', 'second', 8)] }), ['n1 >first'])
  t.same(world.duplicates(), ['a.yaml:8 Node n1 is in this file already in line 1, which counts'])
  world.update({ 'a.yaml': [node('n1', 'first', 1)] })
  t.same(world.duplicates(), [])
})

t.test('what a file says again is not kept in memory twice', async (t) => {
  const world = new World()
  world.update({ 'a.yaml': [node('n1', 'z1')] })
  const before = world.store.get('Node', 'n1')
  world.update({ 'a.yaml': [node('n1', 'z1')] })
  world.update({ 'a.yaml': undefined, 'b.yaml': [node('n1', 'z1')] })
  t.equal(world.store.get('Node', 'n1'), before)
})
