import t from 'tap'
import { encodeRecord, type JournalRecord, readRecords } from '../../../src/ipam/record.js'
import { exampleLease } from '../../support/lease.js'

const RECORDS: readonly JournalRecord[] = [
  { released: ['10.1.0.7', 'fd00::7'] },
  { add: exampleLease({ ports: [{ hostPort: 8080, containerPort: 80, protocol: 'TCP' }], aliases: ['web'] }) },
  { remove: { network: 'pods', containerId: 'c1', ifname: 'eth0' } },
]

const file = (...records: readonly JournalRecord[]): Buffer => Buffer.concat(records.map(encodeRecord))

t.test('records are read as they were written', async (t) => {
  const content = file(...RECORDS)
  t.same(readRecords(content), { records: RECORDS, bytes: content.length, lost: [] })
  t.same(readRecords(Buffer.alloc(0)), { records: [], bytes: 0, lost: [] })
})

t.test('records of a kind that is not known are lost, and said to be', async (t) => {
  const strange = { grow: 'moss' } as unknown as JournalRecord
  const bad = { released: ['10.1.0'] }
  const content = file(RECORDS[0]!, strange, RECORDS[1]!, bad, RECORDS[2]!)
  const { records, lost } = readRecords(content)
  t.same(records, RECORDS)
  t.match(lost, [
    { record: 1, at: encodeRecord(RECORDS[0]!).length, cause: { field: 'lease' } },
    { record: 3, cause: { field: 'released[0]' } },
  ])
})

t.test('a megabyte of noise is looked through', async (t) => {
  const noise = Buffer.alloc(1 << 20, 'not a record ')
  const { records, lost } = readRecords(Buffer.concat([file(RECORDS[1]!), noise, file(RECORDS[2]!)]))
  t.same(records, [RECORDS[1], RECORDS[2]])
  t.match(lost, [{ bytes: noise.length, record: 1 }])
})
