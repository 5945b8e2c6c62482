/** Questions to a person. */
import type { Kysely } from "kysely";
import { PAGE_ROWS_MAX } from "../runtime/core/limits.ts";
import type { Schema } from "./schema.ts";
import { prepared, query, type Statement, statement } from "./unit.ts";

export interface NewReview {
  readonly id: string;
  readonly tree_id: string;
  readonly task_id: string;
  readonly call_id: string | null;
  readonly issue: string;
  readonly blocking: boolean;
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

export function findReview(db: Kysely<Schema>, id: string) {
  return db.selectFrom("reviews").innerJoin("trees", "trees.id", "reviews.tree_id")
    .selectAll("reviews").select("trees.priority").where("reviews.id", "=", id)
    .executeTakeFirst();
}

/** Open questions first, the newest `PAGE_ROWS_MAX` of all. */
export async function listReviews(db: Kysely<Schema>) {
  const rows = await db.selectFrom("reviews").selectAll()
    .orderBy((eb) => eb.case().when("status", "=", "open").then(0).else(1).end())
    .orderBy("id", "desc").limit(PAGE_ROWS_MAX).execute();
  const items = rows.map(({ blocking, created_at, decided_at, ...row }) => ({
    ...row,
    blocking: blocking === 1,
    created_at: new Date(created_at).toISOString(),
    decided_at: decided_at === null ? null : new Date(decided_at).toISOString(),
  }));
  return { items, next_cursor: null };
}
