/**
 * On which rung of the ladder for stuck tasks an actor stands. What a statement does to a rung is what
 * `core/ladder.ts` says about it.
 */
import { sql } from "kysely";
import type { Place, Rung, Standing } from "../runtime/core/ladder.ts";
import { LOOK_ROWS_MAX } from "../runtime/core/limits.ts";
import type { Purpose } from "../runtime/core/protocol.ts";
import type { Db } from "./schema.ts";
import { prepared, query, type Statement } from "./unit.ts";

/** What takes an actor off the ladder. */
export const OFF_LADDER = { rung: "none", rung_at: null, stuck_at: null } as const;

/** Off the ladder, except for one that has called: at rest it waits for somebody to decide. */
export const RELEASED = {
  rung: sql<Rung>`iif(rung = 'called', rung, 'none')`,
  rung_at: sql<number | null>`iif(rung = 'called', rung_at, NULL)`,
  stuck_at: sql<number | null>`iif(rung = 'called', stuck_at, NULL)`,
} as const;

/** How a climb is refused. */
export const WENT_ON = "The actor went on meanwhile";

/**
 * Puts a stuck actor where it stands from now on, as long as it still is where it was seen.
 * @param held whether an owner was seen to hold it
 */
export function standOnRung(
  address: string,
  seen: { readonly rung: Rung; readonly held: boolean },
  standing: Standing,
): Statement {
  const on = standing.rung === "none" ? null : standing;
  return stand({
    address,
    from: seen.rung,
    held: seen.held ? 1 : 0,
    rung: standing.rung,
    progress_at: standing.progress_at,
    detected_at: on?.detected_at ?? null,
    since: on?.since ?? null,
  });
}

const stand = prepared<{
  address: string;
  from: Rung;
  held: 0 | 1;
  rung: Rung;
  progress_at: number;
  detected_at: number | null;
  since: number | null;
}>(({ address, from, held, rung, progress_at, detected_at, since }) =>
  query.updateTable("actors")
    .set({ rung, rung_at: since, stuck_at: detected_at })
    .where("address", "=", address)
    .where("rung", "=", from)
    .where("progress_at", "=", progress_at)
    .where(sql<number>`owner IS NOT NULL`, "=", held)
    .where("status", "=", "live"), { expect: "one", refusal: WENT_ON });

/** An actor says itself that it is stuck. */
export const callStuck = prepared<{ address: string; now: number }>(({ address, now }) =>
  query.updateTable("actors").set({ rung: "called", rung_at: now, stuck_at: now })
    .where("address", "=", address)
);

/** Refuses what somebody decides about a stuck task that is well again. */
export const isStuck = prepared<{ address: string }>(
  ({ address }) =>
    query.selectFrom("actors").select("address").where("address", "=", address)
      .where("status", "=", "live").where("rung", "<>", "none"),
  { returns: "one", expect: "one", refusal: "The task is not stuck any more: it goes on" },
);

/** A task that may have to climb, and where it stands. */
export interface StuckTask {
  readonly id: string;
  readonly tree_id: string;
  readonly agent: string;
  readonly instruction: string;
  readonly purpose: Purpose;
  readonly priority: number;
  readonly timeout_ms: number;
  readonly place: Place;
  readonly standing: Standing;
}

/** Tasks that run without progress for longer than their timeout, and those that stand on a rung. */
export async function stuckTasks(db: Db, now: number): Promise<StuckTask[]> {
  const held = sql<boolean>`actor.owner IS NOT NULL AND actor.lease_until >= ${now}`;
  const rows = await db.selectFrom("tasks as task")
    .innerJoin("actors as actor", "actor.address", "task.id")
    .innerJoin("trees as tree", "tree.id", "task.tree_id")
    .select([
      "task.id",
      "task.tree_id",
      "task.agent",
      "task.instruction",
      "task.purpose",
      "tree.priority",
      sql<number>`task.timeout_seconds * 1000`.as("timeout_ms"),
      "actor.progress_at",
      "actor.rung",
      "actor.rung_at",
      "actor.stuck_at",
      held.as("held"),
      sql<number>`EXISTS (SELECT 1 FROM envelopes WHERE to_address = task.id)
        OR EXISTS (SELECT 1 FROM outbox WHERE address = task.id
          AND status IN ('pending', 'started', 'waiting') AND status <> 'waiting')`.as("has_work"),
    ])
    .where((eb) =>
      eb(
        "task.id",
        "in",
        // In the words of the partial indexes, which bound values would not match.
        eb.selectFrom("actors").select("address as id")
          .where(sql<boolean>`status = 'live' AND rung <> 'none'`)
          .unionAll(
            eb.selectFrom("tasks as running")
              .innerJoin("actors as actor", "actor.address", "running.id").select("running.id")
              .where(sql<boolean>`running.status = 'running'`)
              .where(held)
              .where(sql`actor.progress_at + running.timeout_seconds * 1000`, "<=", now),
          ),
      )
    )
    .where("task.ended_at", "is", null)
    // Who has stood there for longest first: each of them has to be through within its time.
    .orderBy(sql`actor.stuck_at IS NULL`).orderBy("actor.stuck_at").orderBy("actor.progress_at")
    .limit(LOOK_ROWS_MAX).execute();
  return rows.map(({ held, has_work, rung, rung_at, progress_at, stuck_at, ...task }) => ({
    ...task,
    place: held ? "held" : has_work ? "waits_for_slot" : "rests",
    standing: rung === "none"
      ? { rung, progress_at }
      : { rung, progress_at, detected_at: stuck_at!, since: rung_at! },
  }));
}
