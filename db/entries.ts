/** The journal of each task: what it received and what it noted, for ever. */
import { sql } from "kysely";
import type { Message } from "../runtime/core/protocol.ts";
import type { Db } from "./schema.ts";
import { prepared, query } from "./unit.ts";

/** How the guard of a step is refused. */
export const CLAIM_LOST = "The claim no longer holds";

/**
 * Moves a claimed envelope into the journal. This is the guard of a step: it is refused unless the
 * claim (address, owner, epoch) still holds, and the entry's id makes a second settling impossible.
 */
export const settleEntry = prepared<
  { id: string; address: string; owner: string; epoch: number; now: number }
>(
  ({ id, address, owner, epoch, now }) =>
    query.insertInto("entries")
      .columns([
        "id",
        "task_id",
        "tree_id",
        "received",
        "type",
        "message_json",
        "created_at",
        "by",
      ])
      .expression((eb) =>
        eb.selectFrom("envelopes as e")
          .innerJoin("actors as a", "a.address", "e.to_address")
          .select([
            "e.id",
            "e.to_address",
            "e.tree_id",
            sql<number>`1`.as("received"),
            "e.type",
            "e.message_json",
            sql<number>`${now}`.as("created_at"),
            "e.from_address",
          ])
          .where("e.id", "=", id)
          .where("a.address", "=", address)
          .where("a.owner", "=", owner)
          .where("a.epoch", "=", epoch)
      ),
  { expect: "one", refusal: CLAIM_LOST },
);

/** Writes what an actor or the runtime notes about a task. */
export const noteEntry = prepared<
  {
    id: string;
    task_id: string;
    tree_id: string;
    type: string;
    message_json: string;
    /** Who wanted it; null for what its actor or the runtime notes. */
    by: string | null;
    now: number;
  }
>((entry) =>
  query.insertInto("entries").values({
    id: entry.id,
    task_id: entry.task_id,
    tree_id: entry.tree_id,
    type: entry.type,
    message_json: entry.message_json,
    received: 0,
    by: entry.by,
    created_at: entry.now,
  })
);

/** A task's journal, as its actor and its model read it. */
export async function journalOf(db: Db, task_id: string): Promise<Message[]> {
  const rows = await db.selectFrom("entries").select("message_json")
    .where("task_id", "=", task_id).orderBy("seq").execute();
  return rows.map(({ message_json }) => JSON.parse(message_json));
}
