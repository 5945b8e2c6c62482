/** Tasks: one agent's piece of a tree, from queued to ended. */
import { sql } from "kysely";
import type { Usage } from "../runtime/core/model/messages.ts";
import type { Budget, Ending, Purpose } from "../runtime/core/protocol.ts";
import { addActor, releaseAllOf } from "./actors.ts";
import type { Db } from "./schema.ts";
import { prepared, query, type Row, type Statement } from "./unit.ts";

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

/** Adds what one model call used. A cost of null is unknown: the task's is from then on. */
export function addUsage(
  { id, model, usage, cost_nano }: {
    id: string;
    model: string;
    usage: Usage;
    cost_nano: number | null;
  },
): Statement {
  const { web_searches: _, ...tokens } = usage;
  const unpriced = cost_nano === null ? 1 : 0;
  return used({ id, model, ...tokens, cost_nano: cost_nano ?? 0, unpriced });
}

const used = prepared<
  Omit<Usage, "web_searches"> & { id: string; model: string; cost_nano: number; unpriced: number }
>((row) =>
  query.updateTable("tasks")
    .set({
      model: row.model,
      input_tokens: sql`input_tokens + ${row.input_tokens}`,
      cache_read_tokens: sql`cache_read_tokens + ${row.cache_read_tokens}`,
      cache_write_tokens: sql`cache_write_tokens + ${row.cache_write_tokens}`,
      output_tokens: sql`output_tokens + ${row.output_tokens}`,
      cost_nano: sql`cost_nano + ${row.cost_nano}`,
      unpriced_calls: sql`unpriced_calls + ${row.unpriced}`,
      version: sql`version + 1`,
    })
    .where("id", "=", row.id)
);

/**
 * Ends a task. What follows from that, its actor's stop and the end of its tree included, the database
 * does by itself; the parent's envelope is enqueued. The last statement returns `to_address` of a parent
 * that was told.
 * @param ids of the parent's envelope
 */
export function endTask(
  { id }: { id: string; tree_id: string },
  ending: Ending,
  ids: { envelope: string },
  now: number,
): Statement[] {
  const { status, result, summary = null, reason = null } = ending;
  return [
    end({ id, status, result, summary, reason, now }),
    tellParent(id, ids.envelope, ending, now),
  ];
}

type Ended = {
  id: string;
  status: Ending["status"];
  result: string | null;
  summary: string | null;
  reason: string | null;
  now: number;
};

const ALREADY = "The task has ended already";

const end = prepared<Ended>(
  ({ id, status, result, summary, reason, now }) =>
    query.updateTable("tasks")
      .set({ status, result, summary, reason, ended_at: now, version: sql`version + 1` })
      .where("id", "=", id)
      .where("ended_at", "is", null),
  { expect: "one", refusal: ALREADY },
);

/**
 * Ends a task from outside, with every task below it that lives at the instant of the commit. The first
 * statement is the guard, the second returns the `id` of each that it ended, the last one `to_address`
 * of a parent that was told.
 * @param spared tasks below it that go on
 */
export function endSubtree(
  { id }: { id: string },
  ending: Ending,
  ids: { envelope: string },
  spared: readonly string[],
  now: number,
): Statement[] {
  const { status, result, summary = null, reason = null } = ending;
  const below = `The task above it ended: ${reason ?? status}`;
  const spared_json = JSON.stringify(spared);
  return [
    isLive({ id }),
    cut({ id, status, result, summary, reason, below, spared_json, now }),
    tellParent(id, ids.envelope, ending, now),
  ];
}

const isLive = prepared<{ id: string }>(
  ({ id }) =>
    query.selectFrom("tasks").select("id").where("id", "=", id).where("ended_at", "is", null),
  { returns: "one", expect: "one", refusal: ALREADY },
);

const cut = prepared<Ended & { below: string; spared_json: string }>(
  ({ id, status, result, summary, reason, below, spared_json, now }) => {
    const own = (value: string | null) => sql<string | null>`iif(id = ${id}, ${value}, NULL)`;
    return query.withRecursive(
      "below",
      (cte) =>
        cte.selectFrom("tasks").select("id").where("id", "=", id)
          .unionAll(
            cte.selectFrom("tasks as task").innerJoin("below", "below.id", "task.parent_id")
              .select("task.id"),
          ),
    ).updateTable("tasks").set({
      status: sql`iif(id = ${id}, ${status}, 'cancelled')`,
      result: own(result),
      summary: own(summary),
      reason: sql`iif(id = ${id}, ${reason}, ${below})`,
      ended_at: now,
      version: sql`version + 1`,
    })
      .where("ended_at", "is", null)
      .where("id", "in", (eb) => eb.selectFrom("below").select("id"))
      .where(sql<boolean>`id NOT IN (SELECT value FROM json_each(${spared_json}))`)
      .returning("id");
  },
  { returns: "all", expect: "some", refusal: ALREADY },
);

/**
 * What a call that started a child gets as its result: the summary, if there is one. Only the root
 * gets the result itself, because it passes it on as the tree's.
 */
function tellParent(id: string, envelope_id: string, ending: Ending, now: number): Statement {
  const { status, result, summary, reason } = ending;
  const why = reason !== undefined ? { reason } : {};
  const whole = JSON.stringify({ status, task_id: id, result, ...why });
  const short = summary === undefined
    ? whole
    : JSON.stringify({ status, task_id: id, summary, ...why });
  return tell({ id, envelope_id, status, result, reason: reason ?? null, whole, short, now });
}

const tell = prepared<{
  id: string;
  envelope_id: string;
  status: string;
  result: string | null;
  reason: string | null;
  whole: string;
  short: string;
  now: number;
}>(
  ({ id, envelope_id, status, result, reason, whole, short, now }) =>
    query.insertInto("envelopes")
      .columns([
        "id",
        "tree_id",
        "to_address",
        "from_address",
        "type",
        "message_json",
        "created_at",
      ])
      .expression((eb) =>
        eb.selectFrom("tasks as t")
          .innerJoin("tasks as p", "p.id", "t.parent_id")
          .innerJoin("actors as a", "a.address", "p.id")
          .select([
            eb.val(envelope_id).as("id"),
            "t.tree_id",
            "a.address",
            "t.id as from_address",
            sql<string>`iif(t.call_id IS NULL, 'child.ended', 'tool.replied')`.as("type"),
            sql<string>`CASE WHEN t.call_id IS NULL
              THEN json_object('type', 'child.ended', 'task_id', t.id, 'purpose', t.purpose,
                'status', ${status}, 'result', ${result}, 'reason', ${reason})
              ELSE json_object('type', 'tool.replied', 'call_id', t.call_id, 'content',
                CASE WHEN p.purpose = 'root' THEN ${whole} ELSE ${short} END) END`
              .as("message_json"),
            eb.val(now).as("created_at"),
          ])
          .where("t.id", "=", id)
          .where("a.status", "=", "live")
          // A stuck task is acted on by its supervisor's tool; the end of that is no news for it.
          .where("t.purpose", "<>", "supervision")
      )
      .returning("to_address"),
  { returns: "one" },
);

/** Address of the parent that an ending's unit told; null when nobody had to be. */
export function parentTold(rows: readonly (readonly Row[])[]): string | null {
  return rows.at(-1)?.[0]?.to_address as string | undefined ?? null;
}

/** Whom `endSubtree` ended. */
export function cutBy(rows: readonly (readonly Row[])[]): string[] {
  return rows[1].map(({ id }) => id as string);
}

/** What a child takes over from its parent and its tree. */
export async function parentOf(db: Db, id: string) {
  const { budget_json, ...row } = await db.selectFrom("tasks as task")
    .innerJoin("trees as tree", "tree.id", "task.tree_id")
    .select(["task.tree_id", "task.depth", "tree.priority", "tree.budget_json"])
    .select(["tree.after_task", "tree.timeout_seconds"])
    .where("task.id", "=", id).executeTakeFirstOrThrow();
  return { ...row, budget: JSON.parse(budget_json) as Budget };
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
  ).selectFrom("above").innerJoin("tasks as task", "task.id", "above.id").select("task.id")
    .where("task.agent", "=", agent).where("task.instruction", "=", instruction)
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
