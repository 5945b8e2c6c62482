/** Who holds an actor: claim with a lease and an epoch, renew, release. */
import { sql } from "kysely";
import { prepared, query } from "./unit.ts";

/** A new actor; nothing runs until its first envelope. */
export const addActor = prepared<{ address: string; tree_id: string; kind: string; now: number }>((
  { address, tree_id, kind, now },
) => query.insertInto("actors").values({ address, tree_id, kind, progress_at: now }));

/** Takes hold of a live actor that nobody else holds; the epoch that it returns is the claim's token. */
export const claimActor = prepared<
  { address: string; owner: string; now: number; lease_until: number }
>(
  ({ address, owner, now, lease_until }) =>
    query.updateTable("actors")
      .set({ epoch: sql`epoch + 1`, owner, lease_until, progress_at: now })
      .where("address", "=", address)
      .where("status", "=", "live")
      .where((eb) =>
        eb.or([eb("owner", "is", null), eb("owner", "=", owner), eb("lease_until", "<", now)])
      )
      .returning(["epoch", "kind", "tree_id", "state_json"]),
  { returns: "one", expect: "one", refusal: "The actor has ended or somebody else holds it" },
);

/** Writes what a step led to. The settling entry has checked the token already. */
export const advanceActor = prepared<
  { address: string; state_json: string; lease_until: number; now: number }
>(({ address, state_json, lease_until, now }) =>
  query.updateTable("actors")
    .set({ state_json, lease_until, progress_at: now, stuck_rung: 0, stuck_at: null })
    .where("address", "=", address)
);

/** It gets somewhere without a step: its model is answering. */
export const actorProgresses = prepared<{ address: string; now: number }>(({ address, now }) =>
  query.updateTable("actors").set({ progress_at: now })
    .where("address", "=", address).where("stuck_rung", "=", 0)
);

/** The same for a reminder that it is stuck, which is no progress. */
export const advanceStuckActor = prepared<
  { address: string; state_json: string; lease_until: number }
>(({ address, state_json, lease_until }) =>
  query.updateTable("actors").set({ state_json, lease_until }).where("address", "=", address)
);

/** Lets go of an actor; whoever still works on it can no longer settle. */
export const releaseActor = prepared<{ address: string; epoch: number }>(({ address, epoch }) =>
  query.updateTable("actors").set({ owner: null })
    .where("address", "=", address).where("epoch", "=", epoch)
);

export const renewLeases = prepared<{ owner: string; lease_until: number }>((
  { owner, lease_until },
) => query.updateTable("actors").set({ lease_until }).where("owner", "=", owner));

/** At start: what this node held before it was killed is free again. */
export const releaseAllOf = prepared<{ owner: string }>(({ owner }) =>
  query.updateTable("actors").set({ owner: null }).where("owner", "=", owner)
);

/** Notes that a stuck actor stands on this rung of the ladder now. */
export const standOnRung = prepared<
  { address: string; progress_at: number; rung: number; now: number }
>(({ address, progress_at, rung, now }) =>
  query.updateTable("actors")
    .set({ stuck_rung: rung, rung_at: now, stuck_at: sql`coalesce(stuck_at, ${now})` })
    .where("address", "=", address)
    .where("progress_at", "=", progress_at)
    .where("status", "=", "live"), { expect: "one", refusal: "The actor went on meanwhile" });

/** An actor says itself that it is stuck: the ladder begins at its second rung. */
export const callStuck = prepared<{ address: string; now: number }>(({ address, now }) =>
  query.updateTable("actors").set({ stuck_rung: 1, rung_at: 0, stuck_at: now })
    .where("address", "=", address)
);
