/** Trees: what a person asked for, and what became of it. */
import { type Selectable, sql } from "kysely";
import { LISTED_CHARS_MAX, LOOK_ROWS_MAX, PAGE_ROWS_MAX } from "../runtime/core/limits.ts";
import type { AfterTask, Budget, Status } from "../runtime/core/protocol.ts";
import { pageOf } from "./page.ts";
import type { Db, TreesTable } from "./schema.ts";
import { times } from "./times.ts";
import { prepared, query, type Statement } from "./unit.ts";
import { USAGE, usageView } from "./usage.ts";

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

/** A tree that may run only so long, whatever its tasks are doing. */
export interface TimedTree {
  readonly tree_id: string;
  readonly root_id: string;
  readonly priority: number;
  readonly wall_seconds: number;
  /** When its time is used up, in ms since 1970. */
  readonly over_at: number;
}

/** Not `ended_at IS NULL`: only the statuses have an index. */
const UNENDED: readonly Status[] = ["queued", "running", "waiting", "suspended"];

/** Trees with a budget of time, the next to run out first; one that has not begun has all of it left. */
export function timedTrees(db: Db, now: number): Promise<TimedTree[]> {
  const wall_seconds = sql<number>`budget_json ->> '$.wall_seconds'`;
  return db.selectFrom("trees")
    .select(["id as tree_id", "root_id", "priority"])
    .select(wall_seconds.as("wall_seconds"))
    .select(sql<number>`coalesce(started_at, ${now}) + ${wall_seconds} * 1000`.as("over_at"))
    .where("status", "in", UNENDED)
    .where(wall_seconds, "is not", null)
    .orderBy("over_at").limit(LOOK_ROWS_MAX).execute();
}

/** A tree as the API shows it. */
export type TreeView = ReturnType<typeof treeView>;

export async function findTree(db: Db, id: string) {
  const row = await db.selectFrom("trees").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? treeView(row) : null;
}

/** Newest first; the cursor is the last id of the page before. */
export async function listTrees(
  db: Db,
  { status, cursor, limit }: { status?: Status; cursor?: string; limit: number },
) {
  let rows = db.selectFrom("trees").selectAll().orderBy("id", "desc").limit(limit + 1);
  if (status) rows = rows.where("status", "=", status);
  if (cursor) rows = rows.where("id", "<", cursor);
  const page = pageOf(await rows.execute(), limit, ({ id }) => id);
  return { ...page, items: page.items.map(treeView) };
}

function treeView(row: Selectable<TreesTable>) {
  const budget: Record<string, number> = JSON.parse(row.budget_json);
  return {
    id: row.id,
    root_task_id: row.root_id,
    instruction: row.instruction,
    status: row.status,
    mode: row.mode,
    priority: row.priority,
    after_task: row.after_task,
    budget,
    timeout_seconds: row.timeout_seconds,
    result: row.result,
    summary: row.summary,
    reason: row.reason,
    model: row.model,
    usage: usageView(row),
    ...times(row),
  };
}

/** A tree as a line of a list. */
export type TreeLine = Awaited<ReturnType<typeof newestTrees>>[number];

/** The newest trees, newest first; their instructions are cut to what a line can show. */
export function newestTrees(db: Db) {
  return db.selectFrom("trees")
    .select(["id", "status", "created_at", "started_at", "ended_at"])
    .select(sql<string>`substr(instruction, 1, ${LISTED_CHARS_MAX})`.as("instruction"))
    .orderBy("id", "desc").limit(PAGE_ROWS_MAX).execute();
}

/** A tree as its page shows it. */
export type ShownTree = NonNullable<Awaited<ReturnType<typeof shownTree>>>;

export function shownTree(db: Db, id: string) {
  return db.selectFrom("trees")
    .select(["id", "instruction", "status", "result", "reason"])
    .select(["created_at", "started_at", "ended_at"])
    .select(USAGE)
    .where("id", "=", id).executeTakeFirst();
}
