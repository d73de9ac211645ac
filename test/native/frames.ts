/** Requests byte for byte: the CNI executable sends them, and src/codec/frame.ts reads and writes the same. */
export interface SharedFrame {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  readonly body: Readonly<Record<string, unknown>>
  readonly hex: string
}

export const SHARED_FRAMES: readonly SharedFrame[] = [
  {
    name: 'STATUS with nothing but a command and an empty object',
    env: { CNI_COMMAND: 'STATUS' },
    stdin: '{}',
    body: { method: 'cni', command: 'STATUS', config: Buffer.from('{}') },
    hex: [
      '4e4c010100000025', // "NL", version 1, request, 37 bytes
      'a3', // a map of three
      '666d6574686f64', // "method"
      '63636e69', // "cni"
      '67636f6d6d616e64', // "command"
      '66535441545553', // "STATUS"
      '66636f6e666967', // "config"
      '427b7d', // h'7b7d'
    ].join(''),
  },
  {
    name: 'ADD with every variable, one of them empty, and text that is not ASCII',
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/a',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'K8S_POD_NAME=pod-ü',
      CNI_PATH: '',
    },
    stdin: '{"cniVersion":"1.1.0"}  \n',
    body: {
      method: 'cni',
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/a',
      ifname: 'eth0',
      args: 'K8S_POD_NAME=pod-ü',
      path: '',
      config: Buffer.from('{"cniVersion":"1.1.0"}  \n'),
    },
    hex: [
      '4e4c010100000087', // "NL", version 1, request, 135 bytes
      'a8', // a map of eight
      '666d6574686f64', // "method"
      '63636e69', // "cni"
      '67636f6d6d616e64', // "command"
      '63414444', // "ADD"
      '6b636f6e7461696e65724964', // "containerId"
      '626331', // "c1"
      '656e65746e73', // "netns"
      '6c2f72756e2f6e65746e732f61', // "/run/netns/a"
      '6669666e616d65', // "ifname"
      '6465746830', // "eth0"
      '6461726773', // "args"
      '734b38535f504f445f4e414d453d706f642dc3bc', // "K8S_POD_NAME=pod-ü"
      '6470617468', // "path"
      '60', // ""
      '66636f6e666967', // "config"
      '58197b22636e6956657273696f6e223a22312e312e30227d20200a', // 25 bytes: a head of two
    ].join(''),
  },
]
