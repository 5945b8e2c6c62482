/** The row that is written to see whether the database can be written. */
import { query, type Statement, statement } from "./unit.ts";

/** Touches it; `now` in ms. */
export function showLife(now: number): Statement {
  return statement(query.updateTable("liveness").set({ written_at: now }).where("id", "=", 1), {
    expect: "one",
    refusal: "the row of liveness is missing",
  });
}
