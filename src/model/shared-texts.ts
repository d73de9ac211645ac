import { type Cursor } from './cursor.js'

/**
 * Texts that recur in many objects (names of namespaces and nodes, labels, zones): equal ones become one string, and
 * each is checked once. Bounded: when full it starts again, which costs sharing and nothing else.
 */
export class SharedTexts {
  readonly #texts = new Map<string, string>()
  readonly #check: (text: string) => string | undefined
  readonly #limit: number

  /** @param check what is wrong with a text, or undefined */
  constructor(check: (text: string) => string | undefined, limit = 16_384) {
    this.#check = check
    this.#limit = limit
  }

  /** @throws NetloomError `invalid`, naming the field */
  read(place: Cursor): string {
    const text = place.string()
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    const problem = this.#check(text)
    if (problem !== undefined) throw place.error(`${place.quoted} ${problem}`)
    if (this.#texts.size >= this.#limit) this.#texts.clear()
    this.#texts.set(text, text)
    return text
  }
}
