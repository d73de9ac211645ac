import { type Credentials } from './access.js'
import { type Text } from './text.js'

/** A caller's certificate and its key, PEM. */
export interface CertificateTexts {
  readonly cert: Text
  readonly key: Text
}

/** Proofs that stand in texts: a token, a certificate, both, or neither for somebody who is not known. */
export function textCredentials(token: Text | undefined, certificate: CertificateTexts | undefined): Credentials {
  const texts = [token, certificate?.cert, certificate?.key]
  return {
    proof: async () => ({
      token: await token?.read(),
      certificate: certificate && { cert: await certificate.cert.read(), key: await certificate.key.read() },
    }),
    expire: () => texts.forEach((text) => text?.expire()),
  }
}
