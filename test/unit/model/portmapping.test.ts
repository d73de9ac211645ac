import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { isAnywhere, type PortMapping, readPortMapping } from '../../../src/model/portmapping.js'

const read = (value: unknown): PortMapping =>
  readPortMapping(new Cursor({ portMappings: [value] }).field('portMappings').item(0))

t.test('a mapping as runtimes write it', async (t) => {
  t.strictSame(read({ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }), {
    hostPort: 8080,
    containerPort: 80,
    protocol: 'TCP',
  })
  t.strictSame(read({ hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: 'FD00:0::1' }), {
    hostPort: 53,
    containerPort: 5353,
    protocol: 'UDP',
    hostIP: 'fd00::1',
  })
  t.equal(read({ hostPort: 1, containerPort: 1 }).protocol, 'TCP', 'which goes without saying')
})

const REFUSED: Readonly<Record<string, readonly [value: unknown, field: string]>> = {
  'no port of the host': [{ containerPort: 80 }, 'portMappings[0].hostPort'],
  'a port beyond 65535': [{ hostPort: 65_536, containerPort: 80 }, 'portMappings[0].hostPort'],
  'no port of the container': [{ hostPort: 80 }, 'portMappings[0].containerPort'],
  'a text as port': [{ hostPort: '80', containerPort: 80 }, 'portMappings[0].hostPort'],
  'another protocol': [{ hostPort: 80, containerPort: 80, protocol: 'icmp' }, 'portMappings[0].protocol'],
  'a host name': [{ hostPort: 80, containerPort: 80, hostIP: 'localhost' }, 'portMappings[0].hostIP'],
  'no mapping at all': ['80:80', 'portMappings[0]'],
}

for (const [name, [value, field]] of Object.entries(REFUSED))
  t.test(`refused, with the field: ${name}`, async (t) => {
    t.throws(() => read(value), { code: 'invalid', field })
  })

t.test('an unspecified address is all of the node of that family', async (t) => {
  t.same(['0.0.0.0', '::', '127.0.0.1'].map(isAnywhere), [true, true, false])
})
