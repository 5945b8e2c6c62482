/** What a verb makes of a command: a unit of work, and whom it concerns once it is committed. */
import type { Db } from "../../db/schema.ts";
import type { Row, Unit } from "../../db/unit.ts";
import { type By, byText } from "../core/command.ts";
import type { Clock, Ids } from "../ports.ts";
import type { Concerned } from "./commit.ts";

/** What verbs take of the world: they read, and nothing else. */
export interface Reading {
  readonly read: Db;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Seconds without progress after which a task counts as stuck, when a tree names none. */
  readonly timeout_seconds: number;
}

export interface Work<Answer = unknown> {
  readonly unit: Unit;
  readonly concerned: (rows: readonly (readonly Row[])[]) => Concerned;
  /** What whoever commanded it wants to know of it. */
  readonly answer: Answer;
  /** The tree that it is about. */
  readonly tree_id?: string;
  /** In words, for an agent. */
  readonly said?: string;
}

/** One file a verb exports one of these. */
export type Verb<Fields, Answer = Record<never, never>> = (
  reading: Reading,
  fields: Fields,
  by: By,
) => Promise<Work<Answer>>;

/**
 * The task that wants something.
 * @throws {Error} when it is none: the check of `by` lets nobody else through
 */
export function taskBy(by: By): { readonly task_id: string; readonly tree_id: string } {
  if (by.type !== "task") throw new Error(`Only a task wants this, not ${byText(by)}`);
  return by;
}
