/** Mailboxes: enqueue within the bound, take the first that is due, put back, remove. */
import { sql } from "kysely";
import { MAILBOX_MAX } from "../runtime/core/limits.ts";
import type { Address, Message } from "../runtime/core/protocol.ts";
import type { Delivered } from "../runtime/core/delivery.ts";
import { prepared, query, type RowOf, type Statement } from "./unit.ts";

/** What an envelope is put in with; the database numbers it. */
export const ENVELOPE_COLUMNS = [
  "id",
  "tree_id",
  "to_address",
  "from_address",
  "type",
  "message_json",
  "created_at",
] as const;

const insert = prepared<{
  id: string;
  tree_id: string;
  to: string;
  from: string;
  type: string;
  message_json: string;
  now: number;
}>(
  ({ id, tree_id, to, from, type, message_json, now }) =>
    query.insertInto("envelopes")
      .columns(ENVELOPE_COLUMNS)
      .expression(
        query.selectNoFrom((eb) => [
          eb.val(id).as("id"),
          eb.val(tree_id).as("tree_id"),
          eb.val(to).as("to_address"),
          eb.val(from).as("from_address"),
          eb.val(type).as("type"),
          eb.val(message_json).as("message_json"),
          eb.val(now).as("created_at"),
        ])
          // A skip instead of a count: it reads no further than the bound.
          .where(({ not, exists }) =>
            not(exists(
              query.selectFrom("envelopes").select("seq").where("to_address", "=", to)
                .limit(1).offset(sql.lit(MAILBOX_MAX - 1)),
            ))
          )
          .where(({ exists }) =>
            exists(
              // Trees are isolated: nothing is ever delivered into another one.
              query.selectFrom("actors").select("address").where("address", "=", to)
                .where("tree_id", "=", tree_id).where("status", "=", "live"),
            )
          ),
      ),
  {
    expect: "one",
    refusal: `The mailbox is full (${MAILBOX_MAX} envelopes), or its tree has no such live actor`,
  },
);

/** Puts a message into a mailbox; refused when it is full or its actor has ended. */
export function enqueue(
  envelope: { id: string; tree_id: string; to: Address; from: Address; message: Message },
  now: number,
): Statement {
  const { message, ...rest } = envelope;
  return insert({ ...rest, type: message.type, message_json: JSON.stringify(message), now });
}

/** What `takeFirst` or `seeFirst` gave back, as the envelope in hand that it is; null when nothing was due. */
export function deliveredOf(
  [first]: readonly RowOf<typeof takeFirst | typeof seeFirst>[],
): Delivered | null {
  // Nothing else makes one, so that only what was taken can be settled.
  return first ? first as Delivered : null;
}

/**
 * Takes the first envelope of a mailbox, unless it is waiting for its next attempt: what comes after
 * it waits too, so that order holds.
 */
export const takeFirst = prepared(
  ({ address, now }: { address: string; now: number }) =>
    query.updateTable("envelopes")
      .set({ attempts: sql`attempts + 1` })
      .where("seq", "=", (eb) =>
        eb.selectFrom("envelopes").select(eb.fn.min("seq").as("seq"))
          .where("to_address", "=", address))
      .where("due_at", "<=", now)
      .returning(["id", "type", "message_json", "attempts"]),
  { returns: "one" },
);

/**
 * The same for an actor that goes on after a step, without a write: this attempt is counted when it
 * fails, or by the next claim.
 */
export const seeFirst = prepared(
  ({ address, now }: { address: string; now: number }) =>
    query.selectFrom(
      query.selectFrom("envelopes")
        .select(["id", "type", "message_json", "due_at", sql<number>`attempts + 1`.as("attempts")])
        .where("to_address", "=", address).orderBy("seq").limit(1).as("first"),
    ).select(["id", "type", "message_json", "attempts"]).where("due_at", "<=", now),
  { returns: "one" },
);

/** Lets an envelope be tried again later; an attempt that was not its fault is taken back. */
export const putBack = prepared<{ id: string; due_at: number; attempts: number }>(
  ({ id, due_at, attempts }) =>
    query.updateTable("envelopes").set({ due_at, attempts }).where("id", "=", id),
);

export const removeEnvelope = prepared<{ id: string }>(({ id }) =>
  query.deleteFrom("envelopes").where("id", "=", id)
);

/** Whether anything is in a mailbox that could be taken now. */
export const hasDue = prepared(
  ({ address, now }: { address: string; now: number }) =>
    query.selectFrom("envelopes").select("id").where("to_address", "=", address)
      .where("due_at", "<=", now).limit(1),
  { returns: "one" },
);
