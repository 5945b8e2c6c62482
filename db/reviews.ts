/** Questions to a person. */
import type { Kysely } from "kysely";
import type { Schema } from "./schema.ts";
import { prepared, query, type Statement, statement } from "./unit.ts";

export interface NewReview {
  readonly id: string;
  readonly tree_id: string;
  readonly task_id: string;
  readonly call_id: string | null;
  readonly issue: string;
  readonly blocking: boolean;
  readonly detail?: string;
  /** The effect that waits for it. */
  readonly effect_key?: string;
}

/** Adds a question; the same call adds it once. */
export function addReview({ blocking, ...review }: NewReview, now: number): Statement {
  return statement(
    query.insertInto("reviews")
      .values({ ...review, blocking: blocking ? 1 : 0, created_at: now })
      .onConflict((conflict) => conflict.doNothing()),
  );
}

export const decideReview = prepared<
  { id: string; status: "approved" | "rejected"; comment: string; now: number }
>(
  ({ id, status, comment, now }) =>
    query.updateTable("reviews").set({ status, comment, decided_at: now })
      .where("id", "=", id).where("status", "=", "open"),
  {
    expect: "one",
    refusal: "The review is decided already, or its task has ended",
  },
);

/** What a person was asked about a call, and what they said. */
export function reviewOf(db: Kysely<Schema>, task_id: string, call_id: string) {
  return db.selectFrom("reviews").select(["status", "comment"])
    .where("task_id", "=", task_id).where("call_id", "=", call_id).executeTakeFirst();
}

export function findReview(db: Kysely<Schema>, id: string) {
  return db.selectFrom("reviews").innerJoin("trees", "trees.id", "reviews.tree_id")
    .selectAll("reviews").select("trees.priority").where("reviews.id", "=", id)
    .executeTakeFirst();
}
