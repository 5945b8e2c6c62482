/** What the API shows: trees, tasks and journals in the shapes of the agreement. */
import { type Kysely, type Selectable, sql } from "kysely";
import { NANO } from "../../runtime/core/model/budget.ts";
import { PAGE_ROWS_MAX } from "../../runtime/core/limits.ts";
import type { Status } from "../../runtime/core/protocol.ts";
import type { EntriesTable, Schema, TasksTable, TreesTable } from "../schema.ts";

/** One page of a list; `next_cursor` is null on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

export async function findTree(db: Kysely<Schema>, id: string) {
  const row = await db.selectFrom("trees").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? treeOf(row, await usageOf(db, id)) : null;
}

/** Newest first; the cursor is the last id of the page before. */
export async function listTrees(
  db: Kysely<Schema>,
  { status, cursor, limit }: { status?: Status; cursor?: string; limit: number },
) {
  let rows = db.selectFrom("trees").selectAll().orderBy("id", "desc").limit(limit + 1);
  if (status) rows = rows.where("status", "=", status);
  if (cursor) rows = rows.where("id", "<", cursor);
  const page = pageOf(await rows.execute(), limit, ({ id }) => id);
  const items = await Promise.all(
    page.items.map(async (row) => treeOf(row, await usageOf(db, row.id))),
  );
  return { ...page, items };
}

export async function tasksOf(db: Kysely<Schema>, tree_id: string) {
  const rows = await db.selectFrom("tasks").selectAll().where("tree_id", "=", tree_id)
    .orderBy("id").execute();
  return rows.map(taskOf);
}

export async function findTask(db: Kysely<Schema>, id: string) {
  const row = await db.selectFrom("tasks").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? taskOf(row) : null;
}

/** A journal in its order; the cursor is the last `seq` of the page before. */
export async function listEntries(
  db: Kysely<Schema>,
  of: { tree_id: string } | { task_id: string },
  { after, limit }: { after: number; limit: number },
) {
  // A tree's entries are found by its tasks: an index of their own would cost every step a page.
  const rows = "task_id" in of
    ? db.selectFrom("entries").where("task_id", "=", of.task_id)
    : db.selectFrom("tasks").crossJoin("entries")
      .whereRef("entries.task_id", "=", "tasks.id").where("tasks.tree_id", "=", of.tree_id);
  const found = await rows.selectAll("entries").where("entries.seq", ">", after)
    .orderBy("entries.seq").limit(limit + 1).execute();
  const page = pageOf(found, limit, ({ seq }) => String(seq));
  return { ...page, items: page.items.map(entryOf) };
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

/** Every version of every tool, the newest of each name first. */
export async function listTools(db: Kysely<Schema>, name?: string) {
  let rows = db.selectFrom("tools").selectAll().orderBy("name").orderBy("version", "desc");
  if (name !== undefined) rows = rows.where("name", "=", name);
  return (await rows.execute()).map((row) => ({
    name: row.name,
    version: row.version,
    description: row.description,
    input_schema: JSON.parse(row.input_schema_json),
    effect: row.effect,
    origin: row.origin,
    disabled: row.disabled === 1,
    source: row.source,
    permissions: row.permissions_json === null ? null : JSON.parse(row.permissions_json),
    tests: row.tests_json === null ? null : JSON.parse(row.tests_json),
    created_at: new Date(row.created_at).toISOString(),
  }));
}

export type TreeView = ReturnType<typeof treeOf>;
export type TaskView = ReturnType<typeof taskOf>;
export type EntryView = ReturnType<typeof entryOf>;

async function usageOf(db: Kysely<Schema>, tree_id: string) {
  const sum = (column: keyof UsageColumns) => sql<number>`coalesce(sum(${sql.ref(column)}), 0)`;
  const row = await db.selectFrom("tasks")
    .select(({ fn }) => [
      fn.max("model").as("model"),
      sum("input_tokens").as("input_tokens"),
      sum("cache_read_tokens").as("cache_read_tokens"),
      sum("cache_write_tokens").as("cache_write_tokens"),
      sum("output_tokens").as("output_tokens"),
      sum("cost_nano").as("cost_nano"),
      sum("unpriced_calls").as("unpriced_calls"),
    ])
    .where("tree_id", "=", tree_id).executeTakeFirstOrThrow();
  return { model: row.model, usage: usage(row) };
}

type UsageColumns = Pick<
  Selectable<TasksTable>,
  | "input_tokens"
  | "cache_read_tokens"
  | "cache_write_tokens"
  | "output_tokens"
  | "cost_nano"
  | "unpriced_calls"
>;

/** Tokens as counted; the cost is null when some of it is unknown, and never zero instead. */
function usage(row: UsageColumns) {
  return {
    input_tokens: row.input_tokens,
    cache_read_tokens: row.cache_read_tokens,
    cache_write_tokens: row.cache_write_tokens,
    output_tokens: row.output_tokens,
    cost_usd: row.unpriced_calls > 0 ? null : row.cost_nano / NANO,
  };
}

function treeOf(
  row: Selectable<TreesTable>,
  { model, usage }: Awaited<ReturnType<typeof usageOf>>,
) {
  return {
    id: row.id,
    root_task_id: row.root_id,
    instruction: row.instruction,
    status: row.status,
    mode: row.mode,
    priority: row.priority,
    after_task: row.after_task,
    budget: JSON.parse(row.budget_json) as Record<string, number>,
    timeout_seconds: row.timeout_seconds,
    result: row.result,
    summary: row.summary,
    reason: row.reason,
    model,
    usage,
    ...times(row),
  };
}

function taskOf(row: Selectable<TasksTable>) {
  return {
    id: row.id,
    tree_id: row.tree_id,
    parent_id: row.parent_id,
    purpose: row.purpose,
    agent: row.agent,
    agent_version: row.agent_version,
    instruction: row.instruction,
    depth: row.depth,
    status: row.status,
    result: row.result,
    summary: row.summary,
    reason: row.reason,
    model: row.model,
    usage: usage(row),
    timeout_seconds: row.timeout_seconds,
    ...times(row),
  };
}

function entryOf(row: Selectable<EntriesTable>) {
  const { type: _, ...content } = JSON.parse(row.message_json) as Record<string, unknown>;
  return {
    seq: row.seq,
    id: row.id,
    task_id: row.task_id,
    tree_id: row.tree_id,
    type: row.type,
    received: row.received === 1,
    content,
    created_at: iso(row.created_at),
  };
}

function times(
  row: { created_at: number; started_at: number | null; ended_at: number | null },
) {
  return {
    created_at: iso(row.created_at),
    started_at: row.started_at === null ? null : iso(row.started_at),
    ended_at: row.ended_at === null ? null : iso(row.ended_at),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function pageOf<T>(rows: readonly T[], limit: number, cursor: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  return { items, next_cursor: rows.length > limit ? cursor(items.at(-1)!) : null };
}
