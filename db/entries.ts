/** The journal of each task: what it received and what it noted, for ever. */
import { type Selectable, sql } from "kysely";
import { PAGE_ENTRIES_MAX } from "../runtime/core/limits.ts";
import type { Message } from "../runtime/core/protocol.ts";
import { pageOf } from "./page.ts";
import type { Db, EntriesTable } from "./schema.ts";
import { iso } from "./times.ts";
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

/** An entry as the API shows it. */
export type EntryView = ReturnType<typeof entryView>;

/** A journal in its order; the cursor is the last `seq` of the page before. */
export async function listEntries(
  db: Db,
  of: { tree_id: string } | { task_id: string },
  { after, limit }: { after: number; limit: number },
) {
  // A tree's entries are found by its tasks: an index of their own would cost every step a page.
  const rows = "task_id" in of
    ? db.selectFrom("entries").where("task_id", "=", of.task_id)
    : db.selectFrom("tasks").crossJoin("entries")
      .whereRef("entries.task_id", "=", "tasks.id").where("tasks.tree_id", "=", of.tree_id);
  const found = await rows.selectAll("entries").where("entries.seq", ">", after)
    .orderBy("entries.seq").limit(limit + 1).execute();
  const page = pageOf(found, limit, ({ seq }) => String(seq));
  return { ...page, items: page.items.map(entryView) };
}

function entryView(row: Selectable<EntriesTable>) {
  const { type: _, ...content }: Record<string, unknown> = JSON.parse(row.message_json);
  return {
    seq: row.seq,
    id: row.id,
    task_id: row.task_id,
    tree_id: row.tree_id,
    type: row.type,
    received: row.received === 1,
    content,
    created_at: iso(row.created_at),
  };
}

/** An entry as a page shows it. */
export interface JournalEntry {
  readonly seq: number;
  readonly task_id: string;
  readonly type: string;
  readonly message_json: string;
  readonly created_at: number;
  /** Entries of this task, those that are not shown included. */
  readonly total: number;
}

/** The last entries of each task, oldest first. */
export function lastEntries(db: Db, task_ids: readonly string[]): Promise<JournalEntry[]> {
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
