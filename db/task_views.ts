/** Tasks as the API and the page of their tree show them. */
import { type Selectable, sql } from "kysely";
import { PAGE_ROWS_MAX } from "../runtime/core/limits.ts";
import { type JournalEntry, lastEntries } from "./entries.ts";
import { type OpenReview, openReviews } from "./reviews.ts";
import type { Db, TasksTable } from "./schema.ts";
import { times } from "./times.ts";
import { USAGE, usageView } from "./usage.ts";

/** Ids of the same millisecond sort at random; rows are numbered in the order of their commits. */
const BEGUN = sql`tasks.rowid`;

/** A task as the API shows it. */
export type TaskView = ReturnType<typeof taskView>;

export async function tasksOf(db: Db, tree_id: string) {
  const rows = await db.selectFrom("tasks").selectAll().where("tree_id", "=", tree_id)
    .orderBy("id").execute();
  return rows.map(taskView);
}

export async function findTask(db: Db, id: string) {
  const row = await db.selectFrom("tasks").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? taskView(row) : null;
}

function taskView(row: Selectable<TasksTable>) {
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
    usage: usageView(row),
    timeout_seconds: row.timeout_seconds,
    ...times(row),
  };
}

/** As much of a task as tells whether it changed. */
export type TaskMark = Awaited<ReturnType<typeof taskMarks>>[number];

/**
 * The tree's tasks, parents before children, as little of each as tells whether it changed: every
 * change of a task raises `version` or `last_seq`. One row more than a page shows tells that there
 * are more.
 */
export function taskMarks(db: Db, tree_id: string) {
  return db.selectFrom("tasks")
    .select(["id", "parent_id", "status", "model", "version"])
    .select((eb) =>
      eb.selectFrom("entries").select(({ fn }) => fn.max("seq").as("seq"))
        .whereRef("entries.task_id", "=", "tasks.id").as("last_seq")
    )
    .where("tree_id", "=", tree_id)
    .orderBy(BEGUN).limit(PAGE_ROWS_MAX + 1).execute();
}

type TaskRow = Awaited<ReturnType<typeof taskRows>>[number];

/** A task as its tree's page shows it; the journal holds its last entries, oldest first. */
export interface ShownTask extends TaskRow {
  readonly journal: readonly JournalEntry[];
  readonly reviews: readonly OpenReview[];
}

/** The named tasks with their journals, in the order in which they began. */
export async function shownTasks(db: Db, ids: readonly string[]): Promise<ShownTask[]> {
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

function taskRows(db: Db, ids: readonly string[]) {
  return db.selectFrom("tasks")
    .select(["id", "parent_id", "purpose", "agent", "instruction", "status", "result", "reason"])
    .select(["model", "started_at", "ended_at"])
    .select(USAGE)
    .where("id", "in", ids).orderBy(BEGUN).execute();
}
