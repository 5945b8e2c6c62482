/** Trees: what a person asked for, and what became of it. */
import { sql } from "kysely";
import type { AfterTask, Budget } from "../runtime/core/protocol.ts";
import type { Db } from "./schema.ts";
import { prepared, query, type Statement } from "./unit.ts";

export type NewTree = {
  readonly id: string;
  readonly root_id: string;
  readonly instruction: string;
  readonly mode: "automatic" | "manual";
  readonly priority: number;
  readonly after_task: AfterTask;
  readonly budget: Budget;
  readonly timeout_seconds: number;
};

const insert = prepared<Omit<NewTree, "budget"> & { budget_json: string; now: number }>((tree) =>
  query.insertInto("trees").values({
    id: tree.id,
    root_id: tree.root_id,
    instruction: tree.instruction,
    mode: tree.mode,
    priority: tree.priority,
    after_task: tree.after_task,
    budget_json: tree.budget_json,
    timeout_seconds: tree.timeout_seconds,
    status: "queued",
    created_at: tree.now,
  })
);

export function addTree({ budget, ...tree }: NewTree, now: number): Statement {
  return insert({ ...tree, budget_json: JSON.stringify(budget), now });
}

export const treeRuns = prepared<{ id: string; now: number }>(({ id, now }) =>
  query.updateTable("trees")
    .set({ status: "running", started_at: now, version: sql`version + 1` })
    .where("id", "=", id)
    .where("status", "=", "queued")
);

/** What ends or runs a tree has to know of it. */
export async function treeOf(
  db: Db,
  id: string,
): Promise<{ root_id: string; priority: number; budget: Budget }> {
  const { budget_json, ...tree } = await db.selectFrom("trees")
    .select(["root_id", "priority", "budget_json"]).where("id", "=", id).executeTakeFirstOrThrow();
  return { ...tree, budget: JSON.parse(budget_json) };
}
