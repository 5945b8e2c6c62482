/** Tasks: one agent's piece of a tree, from queued to ended. */
import { sql } from "kysely";
import type { Budget, Purpose } from "../runtime/core/protocol.ts";
import { addActor, releaseAllOf } from "./actors.ts";
import type { Db } from "./schema.ts";
import { prepared, query, type Statement } from "./unit.ts";

export type NewTask = {
  readonly id: string;
  readonly tree_id: string;
  readonly parent_id: string | null;
  readonly call_id: string | null;
  /** The parent's effect that asks for it; null when none does. */
  readonly effect_key: string | null;
  readonly purpose: Purpose;
  readonly agent: string;
  readonly agent_version: number;
  readonly instruction: string;
  readonly depth: number;
  readonly timeout_seconds: number;
};

const insert = prepared<NewTask & { now: number }>((task) =>
  query.insertInto("tasks").values({
    id: task.id,
    tree_id: task.tree_id,
    parent_id: task.parent_id,
    call_id: task.call_id,
    effect_key: task.effect_key,
    purpose: task.purpose,
    agent: task.agent,
    agent_version: task.agent_version,
    instruction: task.instruction,
    depth: task.depth,
    timeout_seconds: task.timeout_seconds,
    status: "queued",
    created_at: task.now,
  })
);

/** Adds a task with its actor; nothing runs until its first envelope. */
export function addTask(task: NewTask, kind: string, now: number): Statement[] {
  return [
    insert({ ...task, now }),
    addActor({ address: task.id, tree_id: task.tree_id, kind, now }),
  ];
}

/** Refuses the unit when the tree has ended, or has as many tasks as its budget allows. */
export function treeHasRoom(tree_id: string, tasks_max: number): Statement {
  return {
    ...room({ tree_id, tasks_max }),
    refusal: `The tree has ended or has ${tasks_max} tasks, its limit`,
  };
}

const room = prepared<{ tree_id: string; tasks_max: number }>(
  ({ tree_id, tasks_max }) =>
    query.selectFrom("trees").select("id").where("id", "=", tree_id)
      .where("ended_at", "is", null).where("tasks_begun", "<", tasks_max),
  { returns: "one", expect: "one" },
);

/** A claimed task runs; one without a row (an actor of another kind) is left alone. */
export const taskRuns = prepared<{ id: string; now: number }>(({ id, now }) =>
  query.updateTable("tasks")
    .set({
      status: "running",
      started_at: sql`coalesce(started_at, ${now})`,
      version: sql`version + 1`,
    })
    .where("id", "=", id)
    .where("status", "in", ["queued", "waiting"])
);

/** Lets watchers look at a task again when something beside its row changed. */
export const touchTask = prepared<{ id: string }>(({ id }) =>
  query.updateTable("tasks").set({ version: sql`version + 1` }).where("id", "=", id)
);

/** A passivated task waits: for children, a person or a timer. */
export const taskWaits = prepared<{ id: string }>(({ id }) =>
  query.updateTable("tasks").set({ status: "waiting", version: sql`version + 1` })
    .where("id", "=", id)
    .where("status", "=", "running")
);

/** At start: what this node held before it was killed is free again, and what it ran waits for a slot. */
export function releaseNode(owner: string): Statement[] {
  return [queueAgain({ owner }), releaseAllOf({ owner })];
}

/** Not those that another node holds; what began stays begun. */
const queueAgain = prepared<{ owner: string }>(({ owner }) =>
  query.updateTable("tasks").set({ status: "queued", version: sql`version + 1` })
    // In the words of the partial index, which a bound value would not match.
    .where(sql<boolean>`status = 'running'`)
    .where("id", "in", (eb) =>
      eb.selectFrom("actors").select("address")
        .where((eb) => eb.or([eb("owner", "=", owner), eb("owner", "is", null)])))
);

/** What a child takes over from its parent and its tree. */
export async function parentOf(db: Db, id: string) {
  const { budget_json, ...row } = await db.selectFrom("tasks as task")
    .innerJoin("trees as tree", "tree.id", "task.tree_id")
    .select(["task.tree_id", "task.depth", "tree.priority", "tree.budget_json"])
    .select(["tree.after_task", "tree.timeout_seconds"])
    .where("task.id", "=", id).executeTakeFirstOrThrow();
  const budget: Budget = JSON.parse(budget_json);
  return { ...row, budget };
}

/** Whether a task or one above it was given this very work. */
export async function repeatsAbove(
  db: Db,
  id: string,
  { agent, instruction }: { readonly agent: string; readonly instruction: string },
): Promise<boolean> {
  const found = await db.withRecursive(
    "above",
    (cte) =>
      cte.selectFrom("tasks").select(["id", "parent_id"]).where("id", "=", id)
        .unionAll(
          cte.selectFrom("tasks as task").innerJoin("above", "above.parent_id", "task.id")
            .select(["task.id", "task.parent_id"]),
        ),
  ).selectFrom("tasks").select("id")
    // Not a join: SQLite would go through all tasks and look each one up among those above.
    .where("id", "in", (eb) => eb.selectFrom("above").select("above.id"))
    .where("agent", "=", agent).where("instruction", "=", instruction)
    .limit(1).executeTakeFirst();
  return found !== undefined;
}

export async function instructionOf(db: Db, id: string): Promise<string> {
  const row = await db.selectFrom("tasks").select("instruction").where("id", "=", id)
    .executeTakeFirstOrThrow();
  return row.instruction;
}

/** Who an attachment is for: the task that asked for context or tools, or else the caller. */
export async function beneficiaryOf(db: Db, id: string): Promise<string> {
  const { purpose, parent_id } = await db.selectFrom("tasks").select(["purpose", "parent_id"])
    .where("id", "=", id).executeTakeFirstOrThrow();
  return (purpose === "context" || purpose === "tools") && parent_id ? parent_id : id;
}

/** The stuck task that a supervision was started for; null for any other task. */
export async function supervisedBy(
  db: Db,
  id: string,
): Promise<{ id: string; tree_id: string; priority: number } | null> {
  const row = await db.selectFrom("tasks as task")
    .innerJoin("trees as tree", "tree.id", "task.tree_id")
    .select(["task.parent_id as id", "task.tree_id", "tree.priority"])
    .where("task.id", "=", id).where("task.purpose", "=", "supervision")
    .executeTakeFirst();
  return row?.id ? { ...row, id: row.id } : null;
}

/** The shortest timeout of a task that has not ended, in seconds; null without such a task. */
export async function shortestTimeout(db: Db): Promise<number | null> {
  const row = await db.selectFrom("tasks").innerJoin("actors", "actors.address", "tasks.id")
    .select(({ fn }) => fn.min("timeout_seconds").as("seconds"))
    .where("actors.status", "=", "live").executeTakeFirst();
  return row?.seconds ?? null;
}
