/** Questions to a person. */
import { PAGE_ROWS_MAX } from "../runtime/core/limits.ts";
import type { Db } from "./schema.ts";
import { iso } from "./times.ts";
import { prepared, query, type Statement, statement } from "./unit.ts";

export interface NewReview {
  readonly id: string;
  readonly tree_id: string;
  readonly task_id: string;
  readonly call_id: string | null;
  readonly issue: string;
  readonly blocking: boolean;
  readonly detail?: string;
  /** The effect that asks it: performed twice, it asks once. */
  readonly asked_by_key?: string;
  /** The effect that waits for the decision before it is performed. */
  readonly effect_key?: string;
}

/** Adds a question; the same effect adds it once. */
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

/** What a person was asked before an effect may be performed, and what they said. */
export function reviewOf(db: Db, effect_key: string) {
  return db.selectFrom("reviews").select(["status", "comment"])
    .where("asked_by_key", "=", effect_key).executeTakeFirst();
}

export function findReview(db: Db, id: string) {
  return db.selectFrom("reviews").innerJoin("trees", "trees.id", "reviews.tree_id")
    .selectAll("reviews").select("trees.priority").where("reviews.id", "=", id)
    .executeTakeFirst();
}

/** Open questions first, the newest `PAGE_ROWS_MAX` of all. */
export async function listReviews(db: Db) {
  const rows = await db.selectFrom("reviews").selectAll()
    .orderBy((eb) => eb.case().when("status", "=", "open").then(0).else(1).end())
    .orderBy("id", "desc").limit(PAGE_ROWS_MAX).execute();
  const items = rows.map(({ blocking, created_at, decided_at, ...row }) => ({
    ...row,
    blocking: blocking === 1,
    created_at: iso(created_at),
    decided_at: decided_at === null ? null : iso(decided_at),
  }));
  return { items, next_cursor: null };
}

/** What a task waits to be told by a person. */
export interface OpenReview {
  readonly id: string;
  readonly task_id: string;
  readonly issue: string;
  readonly detail: string | null;
}

export function openReviews(db: Db, task_ids: readonly string[]): Promise<OpenReview[]> {
  return db.selectFrom("reviews").select(["id", "task_id", "issue", "detail"])
    .where("task_id", "in", task_ids).where("status", "=", "open").orderBy("id").execute();
}
