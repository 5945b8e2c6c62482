/** Tasks: one agent's piece of a tree, from queued to ended. */
import { sql } from "kysely";
import type { Usage } from "../runtime/core/model/messages.ts";
import type { Ending, Purpose } from "../runtime/core/protocol.ts";
import { addActor, releaseAllOf, stopActor } from "./actors.ts";
import { emptyMailbox } from "./envelopes.ts";
import { noteEntry } from "./entries.ts";
import { dropEffects } from "./outbox.ts";
import { removeTimers } from "./timers.ts";
import { type Ended, endTree } from "./trees.ts";
import { prepared, query, type Statement, statement } from "./unit.ts";

export type NewTask = {
  readonly id: string;
  readonly tree_id: string;
  readonly parent_id: string | null;
  readonly call_id: string | null;
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

/** Refuses the unit when the tree has as many tasks as its budget allows. */
export function treeHasRoom(tree_id: string, tasks_max: number): Statement {
  return statement(
    query.selectFrom("trees").select("id").where("id", "=", tree_id)
      .where("ended_at", "is", null)
      .where((eb) =>
        eb(
          eb.selectFrom("tasks").select(eb.fn.countAll<number>().as("n"))
            .where("tree_id", "=", tree_id),
          "<",
          tasks_max,
        )
      ),
    {
      returns: "all",
      expect: "one",
      refusal: `The tree has ended or has ${tasks_max} tasks, its limit`,
    },
  );
}

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
 * Ends a task, in one transaction with everything that follows: its actor stops, what was under way
 * for it is dropped, the parent's envelope is enqueued, and with the root the tree ends. The last
 * statement returns `to_address` of a parent that was told.
 *
 * @param ids for the journal's entry and for the parent's envelope
 */
export function endTask(
  task: { id: string; tree_id: string },
  ending: Ending,
  ids: { entry: string; envelope: string },
  now: number,
): Statement[] {
  const { status, result, summary = null, reason = null } = ending;
  const { id, tree_id } = task;
  const ended = { id, status, result, summary, reason, now };
  return [
    end(ended),
    stopActor({ address: id }),
    emptyMailbox({ address: id }),
    removeTimers({ address: id }),
    dropEffects({ address: id, now }),
    withdrawReviews({ task_id: id, now }),
    noteEntry({
      id: ids.entry,
      task_id: id,
      tree_id,
      type: "task.ended",
      message_json: JSON.stringify({ type: "task.ended", ...ending }),
      now,
    }),
    endTree(ended),
    tellParent(id, ids.envelope, ending, now),
  ];
}

const end = prepared<Ended>(
  ({ id, status, result, summary, reason, now }) =>
    query.updateTable("tasks")
      .set({ status, result, summary, reason, ended_at: now, version: sql`version + 1` })
      .where("id", "=", id)
      .where("ended_at", "is", null),
  { expect: "one", refusal: "The task has ended already" },
);

/** A question of a task that has ended needs no answer any more. */
const withdrawReviews = prepared<{ task_id: string; now: number }>(({ task_id, now }) =>
  query.updateTable("reviews").set({ status: "withdrawn", decided_at: now })
    .where("task_id", "=", task_id).where("status", "=", "open").where("blocking", "=", 1)
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
