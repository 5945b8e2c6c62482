/**
 * How tasks end, with everything below them: an end is told to the parent in the same transaction, and
 * what follows from it the database does by itself.
 */
import { sql } from "kysely";
import type { Address, Ending } from "../runtime/core/protocol.ts";
import { ENVELOPE_COLUMNS } from "./envelopes.ts";
import { prepared, query, type Rows, type Statement } from "./unit.ts";

/** A unit that ends a task, or the part of one that does, and what it gave back once it is committed. */
export interface EndOfTask {
  readonly unit: readonly Statement[];
  /** The parent that was told; null when nobody had to be. */
  parentTold(rows: Rows): Address | null;
}

export interface EndOfSubtree extends EndOfTask {
  /** Whom it ended: the task and everybody below it who lived. */
  ended(rows: Rows): Address[];
}

/**
 * Ends a task. What follows from that, its actor's stop and the end of its tree included, the database
 * does by itself; the parent's envelope is enqueued.
 * @param envelope_id of the parent's envelope
 */
export function endTask(id: Address, ending: Ending, envelope_id: string, now: number): EndOfTask {
  const { status, result, summary = null, reason = null } = ending;
  const told = tellParent(id, envelope_id, ending, now);
  return {
    unit: [end({ id, status, result, summary, reason, now }), told],
    parentTold: (rows) => rows.of(told).at(0)?.to_address ?? null,
  };
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
 * Ends a task from outside, with every task below it that lives at the instant of the commit.
 * @param spared tasks below it that go on
 */
export function endSubtree(
  id: Address,
  ending: Ending,
  envelope_id: string,
  spared: readonly Address[],
  now: number,
): EndOfSubtree {
  const { status, result, summary = null, reason = null } = ending;
  const below = `The task above it ended: ${reason ?? status}`;
  const spared_json = JSON.stringify(spared);
  const cutting = cut({ id, status, result, summary, reason, below, spared_json, now });
  const told = tellParent(id, envelope_id, ending, now);
  return {
    unit: [isLive({ id }), cutting, told],
    ended: (rows) => rows.of(cutting).map(({ id }) => id),
    parentTold: (rows) => rows.of(told).at(0)?.to_address ?? null,
  };
}

const isLive = prepared<{ id: string }>(
  ({ id }) =>
    query.selectFrom("tasks").select("id").where("id", "=", id).where("ended_at", "is", null),
  { returns: "one", expect: "one", refusal: ALREADY },
);

const cut = prepared(
  (
    { id, status, result, summary, reason, below, spared_json, now }: Ended & {
      below: string;
      spared_json: string;
    },
  ) => {
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
function tellParent(id: Address, envelope_id: string, ending: Ending, now: number) {
  const { status, result, summary, reason } = ending;
  const why = reason !== undefined ? { reason } : {};
  const whole = JSON.stringify({ status, task_id: id, result, ...why });
  const short = summary === undefined
    ? whole
    : JSON.stringify({ status, task_id: id, summary, ...why });
  return tell({ id, envelope_id, status, result, reason: reason ?? null, whole, short, now });
}

const tell = prepared(
  ({ id, envelope_id, status, result, reason, whole, short, now }: {
    id: string;
    envelope_id: string;
    status: string;
    result: string | null;
    reason: string | null;
    whole: string;
    short: string;
    now: number;
  }) =>
    query.insertInto("envelopes")
      .columns(ENVELOPE_COLUMNS)
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
