/**
 * How tasks end, with everything below them: an end is told to the parent in the same transaction, and
 * what follows from it the database does by itself.
 */
import { sql } from "kysely";
import type { Ending } from "../runtime/core/protocol.ts";
import { prepared, query, type Row, type Statement } from "./unit.ts";

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
