/** Who holds an actor: claim with a lease and an epoch, renew, release; and whom nobody holds. */
import { sql } from "kysely";
import { PRIORITY_STEP_MS } from "../runtime/core/limits.ts";
import type { Runnable } from "../runtime/core/schedule.ts";
import type { Db } from "./schema.ts";
import type { Claim } from "../runtime/core/delivery.ts";
import { CLAIM_LOST } from "./entries.ts";
import { OFF_LADDER, RELEASED } from "./ladder.ts";
import { prepared, query, type RowOf, type Statement } from "./unit.ts";

/** A new actor; nothing runs until its first envelope. */
export const addActor = prepared<{ address: string; tree_id: string; kind: string; now: number }>((
  { address, tree_id, kind, now },
) => query.insertInto("actors").values({ address, tree_id, kind, progress_at: now }));

/**
 * Takes hold of a live actor that nobody else holds; the epoch that it returns is the claim's token. How
 * long it waited for that says nothing about it: a claim takes it off the ladder, whatever it is for.
 */
export const claimActor = prepared(
  ({ address, owner, now, lease_until }: {
    address: string;
    owner: string;
    now: number;
    lease_until: number;
  }) =>
    query.updateTable("actors")
      .set({ epoch: sql`epoch + 1`, owner, lease_until, progress_at: now, ...OFF_LADDER })
      .where("address", "=", address)
      .where("status", "=", "live")
      .where((eb) =>
        eb.or([eb("owner", "is", null), eb("owner", "=", owner), eb("lease_until", "<", now)])
      )
      .returning(["address", "tree_id", "owner", "epoch", "kind", "state_json"]),
  { returns: "one", expect: "one", refusal: "The actor has ended or somebody else holds it" },
);

/** What claiming gave back, as the claim that it is. */
export function claimOf(
  { address, tree_id, owner, epoch }: Omit<RowOf<typeof claimActor>, "kind" | "state_json">,
): Claim {
  // Nothing else makes one, so that whoever has one has claimed.
  return { address, tree_id, owner, epoch } as Claim;
}

const holds = prepared<{ address: string; owner: string; epoch: number }>(
  ({ address, owner, epoch }) =>
    query.selectFrom("actors").select("address").where("address", "=", address)
      .where("owner", "=", owner).where("epoch", "=", epoch),
  { returns: "one", expect: "one", refusal: CLAIM_LOST },
);

/** Refuses a unit of work unless the claim that it is done under still holds. */
export function stillHeld({ address, owner, epoch }: Claim): Statement {
  return holds({ address, owner, epoch });
}

/** Writes what a step led to. The settling entry has checked the token already. */
export const advanceActor = prepared<
  { address: string; state_json: string; lease_until: number; now: number }
>(({ address, state_json, lease_until, now }) =>
  query.updateTable("actors")
    .set({ state_json, lease_until, progress_at: now, ...OFF_LADDER })
    .where("address", "=", address)
);

/** It gets somewhere without a step: its model is answering. */
export const actorProgresses = prepared<{ address: string; now: number }>(({ address, now }) =>
  query.updateTable("actors").set({ progress_at: now, ...OFF_LADDER })
    .where("address", "=", address)
);

/** The same for a reminder that it is stuck, which is no progress. */
export const advanceStuckActor = prepared<
  { address: string; state_json: string; lease_until: number }
>(({ address, state_json, lease_until }) =>
  query.updateTable("actors").set({ state_json, lease_until }).where("address", "=", address)
);

/** Lets go of an actor; whoever still works on it can no longer settle. */
export const releaseActor = prepared<{ address: string; epoch: number }>(({ address, epoch }) =>
  query.updateTable("actors").set({ owner: null, ...RELEASED })
    .where("address", "=", address).where("epoch", "=", epoch)
);

/** Lengthens the leases of these claims, as far as they still hold, and of no others; gives back whose. */
export function renewLeases(claims: readonly Claim[], lease_until: number) {
  const held_json = JSON.stringify(
    claims.map(({ address, owner, epoch }) => [address, owner, epoch]),
  );
  return renew({ held_json, lease_until });
}

const renew = prepared(
  ({ held_json, lease_until }: { held_json: string; lease_until: number }) =>
    query.updateTable("actors")
      .from(sql<{ value: string }>`json_each(${held_json})`.as("held"))
      .set({ lease_until })
      .whereRef("actors.address", "=", sql`held.value ->> 0`)
      .whereRef("actors.owner", "=", sql`held.value ->> 1`)
      .whereRef("actors.epoch", "=", sql`held.value ->> 2`)
      .returning("actors.address"),
  { returns: "all" },
);

/** At start: what this node held before it was killed is free again. */
export const releaseAllOf = prepared<{ owner: string }>(({ owner }) =>
  query.updateTable("actors").set({ owner: null, ...RELEASED }).where("owner", "=", owner)
);

/** Where a page of `actorsToRun` ended. */
export interface PageEnd {
  readonly unbegun: number;
  readonly rank: number;
  readonly address: string;
}

/** Live actors that nobody holds (any more) with a due envelope or an open effect of their own. */
export interface ActorsToRun {
  readonly runnables: readonly Runnable[];
  /** Where the next page goes on; null when this was the last one. */
  readonly end: PageEnd | null;
}

/**
 * A page of them in the order in which the schedule wants them: those of trees that have begun, then the
 * others by priority and waiting time.
 */
export async function actorsToRun(
  db: Db,
  now: number,
  after: PageEnd | null,
  limit: number,
): Promise<ActorsToRun> {
  const unbegun = sql<number>`(tree.started_at IS NULL)`;
  const rank = sql<number>`(tree.created_at - tree.priority * ${sql.lit(PRIORITY_STEP_MS)})`;
  const place = sql`(${unbegun}, ${rank}, actor.address)`;
  const rows = await db.selectFrom("actors as actor")
    .innerJoin("trees as tree", "tree.id", "actor.tree_id")
    .leftJoin("tasks as task", "task.id", "actor.address")
    .select(["actor.address", "actor.tree_id", "tree.priority", "tree.created_at", "task.purpose"])
    .select([unbegun.as("unbegun"), rank.as("rank")])
    .where("actor.status", "=", "live")
    .where((eb) => eb.or([eb("actor.owner", "is", null), eb("actor.lease_until", "<", now)]))
    .where((eb) =>
      eb(
        "actor.address",
        "in",
        eb.selectFrom("envelopes").select("to_address as address").where("due_at", "<=", now)
          .union(
            eb.selectFrom("outbox").select("address")
              // In the words of the partial index, which bound values would not match.
              .where(sql<boolean>`status IN ('pending', 'started', 'waiting')`)
              .where("status", "<>", "waiting"),
          ),
      )
    )
    .$if(after !== null, (page) =>
      page.where(
        sql<boolean>`${place} > (${after!.unbegun}, ${after!.rank}, ${after!.address})`,
      ))
    .orderBy(unbegun).orderBy(rank).orderBy("actor.address").limit(limit).execute();
  const last = rows.at(-1);
  return {
    runnables: rows.map(({ address, tree_id, priority, purpose, unbegun, created_at }) => ({
      address,
      tree_id,
      priority,
      urgent: purpose === "supervision",
      ...unbegun ? { unbegun_since: created_at } : {},
    })),
    end: last && rows.length === limit
      ? { unbegun: last.unbegun, rank: last.rank, address: last.address }
      : null,
  };
}
