/** Trees: what a person asked for, and what became of it. */
import { sql } from "kysely";
import type { AfterTask, Budget, Ending } from "../runtime/core/protocol.ts";
import { prepared, query, type Statement, statement } from "./unit.ts";

export interface NewTree {
  readonly id: string;
  readonly root_id: string;
  readonly instruction: string;
  readonly mode: "automatic" | "manual";
  readonly priority: number;
  readonly after_task: AfterTask;
  readonly budget: Budget;
  readonly timeout_seconds: number;
}

export function addTree({ budget, ...tree }: NewTree, now: number): Statement {
  return statement(
    query.insertInto("trees").values({
      ...tree,
      budget_json: JSON.stringify(budget),
      status: "queued",
      created_at: now,
    }),
  );
}

export const treeRuns = prepared<{ id: string; now: number }>(({ id, now }) =>
  query.updateTable("trees")
    .set({ status: "running", started_at: now, version: sql`version + 1` })
    .where("id", "=", id)
    .where("status", "=", "queued")
);

/** Ends the tree whose root has ended; for any other task it changes nothing. */
export function endTree(root_id: string, ending: Ending, now: number): Statement {
  const { status, result, summary = null, reason = null } = ending;
  return statement(
    query.updateTable("trees")
      .set({ status, result, summary, reason, ended_at: now, version: sql`version + 1` })
      .where("root_id", "=", root_id)
      .where("ended_at", "is", null),
  );
}
