/** What is set aside from a tree's budget for the model calls that are under way. */
import { sql } from "kysely";
import type { Db } from "./schema.ts";
import { prepared, query } from "./unit.ts";

/** What a tree has used, what it has set aside, and what of that is lost to crashes. */
export interface Account {
  readonly used: { readonly tokens: number; readonly cost_nano: number };
  readonly reserved: { readonly tokens: number; readonly cost_nano: number };
  /** Calls whose cost nobody knows: a budget in dollars can no longer be kept. */
  readonly unpriced_calls: number;
}

/**
 * `used` holds lost reservations too: nothing will give them back.
 * @param key of a call that is to be made: what stands under it was set aside before a crash
 */
export async function accountOf(
  db: Db,
  tree_id: string,
  key: string,
): Promise<Account> {
  const [tree, reservations] = await Promise.all([
    db.selectFrom("trees").where("id", "=", tree_id)
      .select(sql<number>`input_tokens + output_tokens`.as("tokens"))
      .select(["cost_nano", "unpriced_calls"]).executeTakeFirstOrThrow(),
    db.selectFrom("reservations").where("tree_id", "=", tree_id)
      .select(["key", "tokens", "cost_nano", "lost"]).execute(),
  ]);
  const sum = (lost: boolean) => {
    const some = reservations.filter((row) => (row.lost === 1 || row.key === key) === lost);
    return {
      tokens: some.reduce((all, { tokens }) => all + tokens, 0),
      cost_nano: some.reduce((all, { cost_nano }) => all + cost_nano, 0),
    };
  };
  const lost = sum(true);
  return {
    used: {
      tokens: tree.tokens + lost.tokens,
      cost_nano: tree.cost_nano + lost.cost_nano,
    },
    reserved: sum(false),
    unpriced_calls: tree.unpriced_calls,
  };
}

/**
 * Sets something aside, unless the tree would then have promised more than its budget. A maximum of
 * null is none.
 */
export const reserve = prepared<{
  key: string;
  tree_id: string;
  tokens: number;
  cost_nano: number;
  tokens_max: number | null;
  cost_nano_max: number | null;
  now: number;
}>(
  (row) => {
    const used = (tokens: "input_tokens + output_tokens" | "cost_nano") =>
      sql`(SELECT ${sql.raw(tokens)} FROM trees WHERE id = ${row.tree_id})`;
    const reserved = (column: "tokens" | "cost_nano") =>
      sql`coalesce((SELECT sum(${
        sql.raw(column)
      }) FROM reservations WHERE tree_id = ${row.tree_id}), 0)`;
    return query.insertInto("reservations")
      .columns(["key", "tree_id", "tokens", "cost_nano", "created_at"])
      .expression(
        query.selectNoFrom((eb) => [
          eb.val(row.key).as("key"),
          eb.val(row.tree_id).as("tree_id"),
          eb.val(row.tokens).as("tokens"),
          eb.val(row.cost_nano).as("cost_nano"),
          eb.val(row.now).as("created_at"),
        ])
          .where(
            sql<boolean>`${row.tokens_max} IS NULL OR ${row.tokens} + ${
              used("input_tokens + output_tokens")
            } + ${reserved("tokens")} <= ${row.tokens_max}`,
          )
          .where(
            sql<boolean>`${row.cost_nano_max} IS NULL OR ${row.cost_nano} + ${
              used("cost_nano")
            } + ${reserved("cost_nano")} <= ${row.cost_nano_max}`,
          ),
      );
  },
  { expect: "one", refusal: "The tree's budget has no room for it" },
);

/** Gives back what was set aside, together with what was really used. */
export const release = prepared<{ key: string }>(({ key }) =>
  query.deleteFrom("reservations").where("key", "=", key).where("lost", "=", 0)
);

/** A call was cut off by a crash: what was set aside for it is never given back. */
export const loseReservation = prepared<{ key: string; lost_key: string }>(({ key, lost_key }) =>
  query.updateTable("reservations").set({ key: lost_key, lost: 1 })
    .where("key", "=", key).where("lost", "=", 0)
);
