/** Questions to a person. */
import { query, type Statement, statement } from "./unit.ts";

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
