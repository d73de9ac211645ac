/** Operations that belong together, as text, and what they are for. */
export interface Section {
  readonly title: string
  readonly plan: string
}

/** Makes the sections of a case from the YAML documents of its input. */
export type Planner = (documents: readonly unknown[]) => Section[]
