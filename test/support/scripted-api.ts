import { type ApiClient, type ApiRequest } from '../../src/kube/api/client.js'

/** What a call is answered with; an Error is thrown. */
export type Reply = (request: ApiRequest) => unknown

/** An API client that answers as a test says, and remembers what it was asked. */
export class ScriptedApi implements ApiClient {
  readonly requests: ApiRequest[] = []
  reply: Reply

  constructor(reply: Reply) {
    this.reply = reply
  }

  /** What was asked: `PATCH /api/v1/nodes/a`. */
  get asked(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`)
  }

  async call(request: ApiRequest): Promise<unknown> {
    this.requests.push(request)
    const answer = await this.reply(request)
    if (answer instanceof Error) throw answer
    return answer
  }
}
