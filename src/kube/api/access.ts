import { type Text } from './text.js'

/** What proves to the server who calls. Never goes into a log or an error. */
export interface Proof {
  /** Bearer token. */
  readonly token: string | undefined
  /** Certificate and key of the caller, PEM. */
  readonly certificate: { readonly cert: string; readonly key: string } | undefined
}

/** Where proofs come from. */
export interface Credentials {
  /** @throws NetloomError naming what cannot be read */
  proof(): Promise<Proof>
  /** The server refused the last proof: the next one is made or read anew. */
  expire(): void
}

/** How an API server is reached, and as whom. */
export interface ApiAccess {
  /** `https://10.96.0.1:443`; a path in front of all others is kept. */
  readonly server: URL
  /** Certificate authorities that sign for the server, PEM; those of the system where undefined. */
  readonly authority: Text | undefined
  /** Name that the server's certificate is for, where it is another than in the URL. */
  readonly serverName: string | undefined
  /** The server need not prove who it is. */
  readonly insecure: boolean
  readonly credentials: Credentials
}
