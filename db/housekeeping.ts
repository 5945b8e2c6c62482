/** Clears away rows that nothing asks for any more: oldest first, and a bounded number at a time. */
import { HOUSEKEEPING_ROWS_MAX, IDEMPOTENCY_MS, KEPT_MS } from "../runtime/core/limits.ts";
import { prepared, query, type Unit } from "./unit.ts";

/**
 * One round.
 * - Effects whose outcome is journaled, a day later. Nothing is done twice without the row: an effect
 *   is asked for by settling an envelope, whose own entry in the journal is there once and for ever,
 *   and finishing an effect that has no row is refused like finishing one that is done.
 * - Reviews of trees that ended a day ago: no call of the tree runs again. One that waits for nobody's
 *   call stays until a person has decided it.
 * - Answers to POSTs, once their key may be used again.
 * @returns the unit; each of its statements gives the rows that it removed
 */
export function clearing(now: number): Unit {
  const before = now - KEPT_MS;
  return [
    clearEffects({ before }),
    clearReviews({ before }),
    clearAnswers({ before: now - IDEMPOTENCY_MS }),
  ];
}

const clearEffects = prepared<{ before: number }>(
  ({ before }) =>
    query.deleteFrom("outbox").where(
      "key",
      "in",
      query.selectFrom("outbox").select("key").where("done_at", "<", before)
        .orderBy("done_at").limit(HOUSEKEEPING_ROWS_MAX),
    ).returning("key"),
  { returns: "all" },
);

const clearReviews = prepared<{ before: number }>(
  ({ before }) =>
    query.deleteFrom("reviews").where(
      "id",
      "in",
      query.selectFrom("reviews").innerJoin("trees", "trees.id", "reviews.tree_id")
        .select("reviews.id")
        .where("reviews.status", "<>", "open")
        // Asked before its tree ended: the index leaves out all that are younger.
        .where("reviews.created_at", "<", before).where("trees.ended_at", "<", before)
        .orderBy("reviews.created_at").limit(HOUSEKEEPING_ROWS_MAX),
    ).returning("id"),
  { returns: "all" },
);

const clearAnswers = prepared<{ before: number }>(
  ({ before }) =>
    query.deleteFrom("idempotency_keys").where(
      "key",
      "in",
      query.selectFrom("idempotency_keys").select("key").where("created_at", "<", before)
        .orderBy("created_at").limit(HOUSEKEEPING_ROWS_MAX),
    ).returning("key"),
  { returns: "all" },
);
