/** Envelopes that could not be delivered, kept with the reason for a person to look at. */
import { sql } from "kysely";
import { EFFECT_GONE, finishEffect } from "./outbox.ts";
import { query, type Statement, statement } from "./unit.ts";

/** Puts an effect beside the envelopes that could not be delivered; refused when it is no longer open. */
export function buryEffect(key: string, reason: string, now: number): Statement[] {
  return [
    statement(
      query.insertInto("dead_letters")
        .columns(["id", "tree_id", "address", "message_json", "attempts", "reason", "created_at"])
        .expression((eb) =>
          eb.selectFrom("outbox")
            .select([
              "key",
              "tree_id",
              "address",
              "effect_json",
              "attempts",
              sql<string>`${reason}`.as("reason"),
              sql<number>`${now}`.as("created_at"),
            ])
            .where("key", "=", key).where("status", "in", ["pending", "started"])
        ),
      { expect: "one", refusal: EFFECT_GONE },
    ),
    finishEffect({ key, now }),
  ];
}

/**
 * Moves an envelope out of its mailbox; refused when it was settled meanwhile.
 * @param attempts with the last one, which is not counted in the mailbox
 */
export function buryEnvelope(
  { id, attempts }: { readonly id: string; readonly attempts: number },
  reason: string,
  now: number,
): Statement[] {
  return [
    statement(
      query.insertInto("dead_letters")
        .columns([
          "id",
          "tree_id",
          "address",
          "message_json",
          "attempts",
          "reason",
          "created_at",
        ])
        .expression((eb) =>
          eb.selectFrom("envelopes")
            .select([
              "id",
              "tree_id",
              "to_address",
              "message_json",
              sql<number>`${attempts}`.as("attempts"),
              sql<string>`${reason}`.as("reason"),
              sql<number>`${now}`.as("created_at"),
            ])
            .where("id", "=", id)
        ),
      { expect: "one", refusal: "The envelope was settled meanwhile" },
    ),
    statement(query.deleteFrom("envelopes").where("id", "=", id)),
  ];
}
