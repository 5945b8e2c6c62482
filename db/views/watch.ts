/** What the watch looks for: actors with something to do that nobody holds, and trees whose time is used up. */
import { type Kysely, sql } from "kysely";
import { LOOK_ROWS_MAX } from "../../runtime/core/limits.ts";
import type { Status } from "../../runtime/core/protocol.ts";
import type { Schema } from "../schema.ts";

/** The shortest timeout of a task that has not ended, in seconds; null without such a task. */
export async function shortestTimeout(db: Kysely<Schema>): Promise<number | null> {
  const row = await db.selectFrom("tasks").innerJoin("actors", "actors.address", "tasks.id")
    .select(({ fn }) => fn.min("timeout_seconds").as("seconds"))
    .where("actors.status", "=", "live").executeTakeFirst();
  return row?.seconds ?? null;
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
export function timedTrees(db: Kysely<Schema>, now: number): Promise<TimedTree[]> {
  const wall_seconds = sql<number>`budget_json ->> '$.wall_seconds'`;
  return db.selectFrom("trees")
    .select(["id as tree_id", "root_id", "priority"])
    .select(wall_seconds.as("wall_seconds"))
    .select(sql<number>`coalesce(started_at, ${now}) + ${wall_seconds} * 1000`.as("over_at"))
    .where("status", "in", UNENDED)
    .where(wall_seconds, "is not", null)
    .orderBy("over_at").limit(LOOK_ROWS_MAX).execute();
}
