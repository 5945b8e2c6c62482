/** What the pages show: trees newest first, and one tree with its tasks and their journals. */
import { type Kysely, sql } from "kysely";
import { PAGE_ENTRIES_MAX, PAGE_ROWS_MAX } from "../../runtime/core/limits.ts";
import type { Schema } from "../schema.ts";

/** Characters of an instruction in a list: more than its line shows. */
const LISTED_CHARACTERS = 300;
/** Ids of the same millisecond sort at random; rows are numbered in the order of their commits. */
const BEGUN = sql`tasks.rowid`;

/** What the model calls of a task used. */
const USAGE = [
  "input_tokens",
  "cache_read_tokens",
  "output_tokens",
  "cost_nano",
  "unpriced_calls",
] as const;

export type UsageView = Record<typeof USAGE[number], number>;

export type TreeLine = Awaited<ReturnType<typeof newestTrees>>[number];

/** The newest trees, newest first; their instructions are cut to what a line can show. */
export function newestTrees(db: Kysely<Schema>) {
  return db.selectFrom("trees")
    .select(["id", "status", "created_at", "started_at", "ended_at"])
    .select(sql<string>`substr(instruction, 1, ${LISTED_CHARACTERS})`.as("instruction"))
    .orderBy("id", "desc").limit(PAGE_ROWS_MAX).execute();
}

export type TreeView = NonNullable<Awaited<ReturnType<typeof findTree>>>;

export function findTree(db: Kysely<Schema>, id: string) {
  return db.selectFrom("trees").innerJoin("tasks", "tasks.tree_id", "trees.id")
    .select(["trees.id", "trees.instruction", "trees.status", "trees.result", "trees.reason"])
    .select(["trees.created_at", "trees.started_at", "trees.ended_at"])
    .select(({ fn }) => USAGE.map((column) => fn.sum<number>(`tasks.${column}`).as(column)))
    .where("trees.id", "=", id).groupBy("trees.id").executeTakeFirst();
}

export type TaskMark = Awaited<ReturnType<typeof taskMarks>>[number];

/**
 * The tree's tasks, parents before children, as little of each as tells whether it changed: every
 * change of a task raises `version` or `last_seq`. One row more than a page shows tells that there
 * are more.
 */
export function taskMarks(db: Kysely<Schema>, tree_id: string) {
  return db.selectFrom("tasks")
    .select(["id", "parent_id", "status", "model", "version"])
    .select((eb) =>
      eb.selectFrom("entries").select(({ fn }) => fn.max("seq").as("seq"))
        .whereRef("entries.task_id", "=", "tasks.id").as("last_seq")
    )
    .where("tree_id", "=", tree_id)
    .orderBy(BEGUN).limit(PAGE_ROWS_MAX + 1).execute();
}

export interface JournalEntry {
  readonly seq: number;
  readonly task_id: string;
  readonly type: string;
  readonly message_json: string;
  readonly created_at: number;
  /** Entries of this task, those that are not shown included. */
  readonly total: number;
}

type TaskRow = Awaited<ReturnType<typeof taskRows>>[number];

/** What a task waits to be told by a person. */
export interface OpenReview {
  readonly id: string;
  readonly task_id: string;
  readonly issue: string;
  readonly detail: string | null;
}

/** A task as a page shows it; the journal holds its last entries, oldest first. */
export interface TaskView extends TaskRow {
  readonly journal: readonly JournalEntry[];
  readonly reviews: readonly OpenReview[];
}

/** The named tasks with their journals, in the order in which they began. */
export async function findTasks(db: Kysely<Schema>, ids: readonly string[]): Promise<TaskView[]> {
  if (ids.length === 0) return [];
  const tasks = await taskRows(db, ids);
  const [entries, open] = await Promise.all([lastEntries(db, ids), openReviews(db, ids)]);
  const journals = Map.groupBy(entries, ({ task_id }) => task_id);
  const reviews = Map.groupBy(open, ({ task_id }) => task_id);
  return tasks.map((task) => ({
    ...task,
    journal: journals.get(task.id) ?? [],
    reviews: reviews.get(task.id) ?? [],
  }));
}

function openReviews(db: Kysely<Schema>, task_ids: readonly string[]): Promise<OpenReview[]> {
  return db.selectFrom("reviews").select(["id", "task_id", "issue", "detail"])
    .where("task_id", "in", task_ids).where("status", "=", "open").orderBy("id").execute();
}

function taskRows(db: Kysely<Schema>, ids: readonly string[]) {
  return db.selectFrom("tasks")
    .select(["id", "parent_id", "purpose", "agent", "instruction", "status", "result", "reason"])
    .select(["model", "started_at", "ended_at"])
    .select(USAGE)
    .where("id", "in", ids).orderBy(BEGUN).execute();
}

function lastEntries(db: Kysely<Schema>, task_ids: readonly string[]): Promise<JournalEntry[]> {
  return db.selectFrom((eb) =>
    eb.selectFrom("entries")
      .select(["seq", "task_id", "type", "message_json", "created_at"])
      .select(sql<number>`row_number() OVER (PARTITION BY task_id ORDER BY seq DESC)`.as("place"))
      .select(sql<number>`count(*) OVER (PARTITION BY task_id)`.as("total"))
      .where("task_id", "in", task_ids).as("entry")
  )
    .select(["seq", "task_id", "type", "message_json", "created_at", "total"])
    .where("place", "<=", PAGE_ENTRIES_MAX).orderBy("seq").execute();
}
