import { arch, cpus, loadavg, release, totalmem } from 'node:os'

/** What figures depend on besides the program. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly arch: string
  /** Bytes of memory. */
  readonly memory: number
  readonly kernel: string
  readonly node: string
  /** Processes that wanted to run in the minute before the benchmark, on average: what else the machine did. */
  readonly load: number
}

export function describeMachine(): Machine {
  const cores = cpus()
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    arch: arch(),
    memory: totalmem(),
    kernel: release(),
    node: process.version,
    load: Number((loadavg()[0] ?? 0).toFixed(2)),
  }
}
