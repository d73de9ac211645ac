import t from 'tap'
import { TABLE_FAMILY, type TableFamily } from '../../../src/codec/nft/constants.js'
import { addTable, decodeTable, deleteTable } from '../../../src/codec/nft/table.js'
import { answers, checkRequests, type Row } from './captured.js'
import { LINK_TABLES } from './fixtures.js'
import { PORT_TABLE } from './port-rows.js'

const families = Object.keys(TABLE_FAMILY) as TableFamily[]

t.test('tables are created and deleted byte for byte as nft does', async (t) => {
  const rows = families.flatMap((family): [string, Row][] => [
    [`${family}: create`, { requests: [addTable({ family, name: 't' })] }],
    // nft gives the handle instead of the name where it knows it; the name alone is enough for the kernel.
    [`${family}: delete`, { requests: [deleteTable({ family, name: 't' })] }],
  ])
  checkRequests(t, 'table', Object.fromEntries(rows))
})

t.test("the kernel's list of tables is read", async (t) => {
  t.strictSame(answers('tables').map(decodeTable), [
    { family: 'ip', name: 't' },
    { family: 'ip6', name: 't' },
    ...LINK_TABLES,
    PORT_TABLE,
  ])
})
