/** Effects between their commit and their outcome. */
import { sql } from "kysely";
import type { Claim } from "../runtime/core/delivery.ts";
import type { OpenEffect } from "../runtime/core/protocol.ts";
import { prepared, query, type RowOf } from "./unit.ts";

/** In the words of the partial index, which bound values would not match. */
const isOpen = sql<boolean>`status IN ('pending', 'started', 'waiting')`;

/** How whatever closes an effect is refused: somebody else closed it, or its actor no longer wants it. */
export const EFFECT_GONE = "The effect has an outcome already, or is no longer wanted";

export const addEffect = prepared<
  {
    key: string;
    tree_id: string;
    address: string;
    effect_json: string;
    now: number;
  }
>((row) =>
  query.insertInto("outbox").values({
    key: row.key,
    tree_id: row.tree_id,
    address: row.address,
    effect_json: row.effect_json,
    created_at: row.now,
  })
);

/** Effects of an actor that are not performed yet, in the order in which they were asked for. */
export const openEffects = prepared(
  ({ address }: { address: string }) =>
    query.selectFrom("outbox").select(["key", "effect_json", "status", "attempts"])
      .where("address", "=", address).where(isOpen).where("status", "<>", "waiting")
      .orderBy("key").$narrowType<Pick<OpenEffect, "status">>(),
  { returns: "all" },
);

/** What `openEffects` gave back of the actor that is held. */
export function openEffectsOf(
  rows: readonly RowOf<typeof openEffects>[],
  { address, tree_id }: Claim,
): OpenEffect[] {
  return rows.map(({ effect_json, ...row }) => ({
    ...row,
    address,
    tree_id,
    effect: JSON.parse(effect_json),
  }));
}

/** Says that a performer begins: one that must not begin twice asks for this first. */
export const startEffect = prepared<{ key: string }>(
  ({ key }) =>
    query.updateTable("outbox").set({ status: "started" })
      .where("key", "=", key).where("status", "=", "pending"),
  { expect: "one", refusal: "The effect was begun before, or is no longer wanted" },
);

/** Closes an effect together with its outcome; refused when it has an outcome or was dropped. */
export const finishEffect = prepared<{ key: string; now: number }>(
  ({ key, now }) =>
    query.updateTable("outbox").set({ status: "done", done_at: now })
      .where("key", "=", key).where("status", "in", ["pending", "started"]),
  { expect: "one", refusal: EFFECT_GONE },
);

/** Counts an attempt that came to nothing, and gives their number; refused once the effect is not open. */
export const countAttempt = prepared(
  ({ key }: { key: string }) =>
    query.updateTable("outbox").set({ attempts: sql`attempts + 1` })
      .where("key", "=", key).where("status", "in", ["pending", "started"])
      .returning("attempts"),
  { returns: "one", expect: "one", refusal: EFFECT_GONE },
);

/** Refuses a unit of work unless the effect was closed without an outcome. */
export const wasDropped = prepared<{ key: string }>(
  ({ key }) =>
    query.selectFrom("outbox").select("key").where("key", "=", key).where("status", "=", "dropped"),
  { returns: "one", expect: "one", refusal: "The effect has an outcome" },
);

export const dropEffects = prepared<{ address: string; now: number }>(({ address, now }) =>
  query.updateTable("outbox").set({ status: "dropped", done_at: now })
    .where("address", "=", address).where(isOpen)
);

/**
 * Sets an effect aside until a person has decided. Refused when they have by now: nobody would put it
 * back.
 */
export const holdEffect = prepared<{ key: string }>(
  ({ key }) =>
    query.updateTable("outbox").set({ status: "waiting" })
      .where("key", "=", key).where(isOpen)
      .where(({ not, exists }) =>
        not(exists(
          query.selectFrom("reviews").select("id").where("asked_by_key", "=", key)
            .where("status", "<>", "open"),
        ))
      ),
  { expect: "one", refusal: "A person has decided meanwhile, or the effect is no longer wanted" },
);

/** Puts it back among those to perform. */
export const releaseEffect = prepared<{ key: string }>(({ key }) =>
  query.updateTable("outbox").set({ status: "pending" })
    .where("key", "=", key).where("status", "=", "waiting")
);

/**
 * At start, before the claims of this node's dead predecessor are released: whatever its actors were having
 * performed may be what killed it. That attempt is counted; a step's own first attempt needs no write.
 */
export const countInterrupted = prepared<{ owner: string }>(({ owner }) =>
  query.updateTable("outbox").set({ attempts: sql`attempts + 1` })
    .where(isOpen).where("status", "<>", "waiting")
    .where(
      "address",
      "in",
      (eb) => eb.selectFrom("actors").select("address").where("owner", "=", owner),
    )
);
