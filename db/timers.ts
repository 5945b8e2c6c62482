/** Messages with a due time. One of the same name replaces the one before. */
import { LOOK_ROWS_MAX } from "../runtime/core/limits.ts";
import type { Db } from "./schema.ts";
import { prepared, query, statement } from "./unit.ts";

export const setTimer = prepared<
  { address: string; name: string; tree_id: string; message_json: string; due_at: number }
>((timer) =>
  query.insertInto("timers").values({
    address: timer.address,
    name: timer.name,
    tree_id: timer.tree_id,
    message_json: timer.message_json,
    due_at: timer.due_at,
  }).onConflict((conflict) =>
    conflict.columns(["address", "name"]).doUpdateSet((eb) => ({
      message_json: eb.ref("excluded.message_json"),
      due_at: eb.ref("excluded.due_at"),
    }))
  )
);

/** Takes a due timer away, in the transaction that enqueues its message: it fires once. */
export function fireTimer(address: string, name: string, now: number) {
  return statement(
    query.deleteFrom("timers").where("address", "=", address).where("name", "=", name)
      .where("due_at", "<=", now),
    { expect: "one", refusal: "The timer was changed or has fired" },
  );
}

/** Timers that are due, the one that has waited for longest first. */
export function dueTimers(db: Db, now: number) {
  return db.selectFrom("timers").innerJoin("trees", "trees.id", "timers.tree_id")
    .select(["address", "name", "tree_id", "message_json", "trees.priority"])
    .where("due_at", "<=", now).orderBy("due_at").limit(LOOK_ROWS_MAX).execute();
}
