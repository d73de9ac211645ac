/** What some work printed, and what it answered. Let no assertion be in it: tap prints as well. */
export interface Printed<T> {
  readonly result: T
  readonly out: string
  readonly err: string
}

/** Runs work with standard output and standard error caught. */
export async function printed<T>(work: () => Promise<T>): Promise<Printed<T>> {
  const texts = { out: '', err: '' }
  const streams = { out: process.stdout, err: process.stderr }
  const own = { out: streams.out.write.bind(streams.out), err: streams.err.write.bind(streams.err) }
  for (const name of ['out', 'err'] as const)
    streams[name].write = (text: string | Uint8Array): boolean => {
      texts[name] += String(text)
      return true
    }
  try {
    return { result: await work(), ...texts }
  } finally {
    for (const name of ['out', 'err'] as const) streams[name].write = own[name]
  }
}
