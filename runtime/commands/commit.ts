/**
 * The one way in which a unit of work becomes true and is heard of: commits it, and only then tells the
 * tree's watchers and the loop. What was refused, or whose outcome is unknown, is told to nobody.
 */
import type { Store } from "../../db/store.ts";
import type { Rows, Unit, UnitResult } from "../../db/unit.ts";
import type { Address } from "../core/protocol.ts";
import type { Runnable } from "../core/schedule.ts";
import type { Loop, News } from "../ports.ts";

/** Whom a commit concerns. */
export interface Concerned {
  /** Trees of which something changed. */
  readonly trees?: readonly string[];
  /** Actors that have something to do now. */
  readonly wake?: readonly Runnable[];
  /** Actors that it ended. */
  readonly drop?: readonly Address[];
  /** A tree that begins: when its tasks may be stuck, and when its time is used up. */
  readonly expect?: { readonly timeout_ms: number; readonly wall_ms?: number };
}

/** What committing takes of the world. */
export interface Committing {
  readonly store: Store;
  readonly news: News;
  readonly loop: Loop;
}

/** Who is told before a kernel runs: nobody is there. What is written then is found by its first look. */
export const NOBODY: Omit<Committing, "store"> = {
  news: { publish: () => {} },
  loop: { wake: () => {}, drop: () => {}, expect: () => {} },
};

/**
 * Commits a unit and tells whom it concerns.
 * @param concerned by what the unit's statements gave back
 * @returns what they gave back, or why nothing took effect; a store that died answers `refused: false`: nobody knows
 */
export async function commitAndTell(
  { store, news, loop }: Committing,
  unit: Unit,
  concerned: (rows: Rows) => Concerned,
): Promise<UnitResult> {
  const result = await store.commit(unit).catch(unknownOutcome);
  if (!result.ok) return result;
  const { trees = [], wake = [], drop = [], expect } = concerned(result.rows);
  for (const tree_id of new Set(trees)) news.publish(tree_id);
  if (expect) loop.expect(expect.timeout_ms, expect.wall_ms);
  if (drop.length > 0) loop.drop(drop);
  for (const runnable of wake) loop.wake(runnable);
  return result;
}

/** The store died: the supervisor deals with that; here nothing more can be known. */
function unknownOutcome(error: Error): UnitResult {
  return { ok: false, refused: false, reason: error.message };
}
