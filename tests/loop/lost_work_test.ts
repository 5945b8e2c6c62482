/** The look for lost work over the real store, with thousands of trees that wait. */
import assert from "node:assert/strict";
import type { Statement } from "../../db/unit.ts";
import { LOOK_ROWS_MAX, PRIORITY_STEP_MS } from "../../runtime/core/limits.ts";
import type { Runnable } from "../../runtime/core/schedule.ts";
import { LostWorkLook } from "../../runtime/loop/lost_work.ts";
import { HandClock } from "../support/clock.ts";
import { type TempStore, tempStore } from "../support/store.ts";

const TREES = 3_000;
/** One tree in so many has begun. */
const BEGUN_EVERY = 100;

const plain = (sql: string): Statement => ({ sql, parameters: [] });

/** Trees that wait, handed in a millisecond after each other, with a mix of priorities. */
async function addWaitingTrees({ commit }: TempStore): Promise<void> {
  const numbers = `WITH RECURSIVE numbers (at) AS
    (SELECT 0 UNION ALL SELECT at + 1 FROM numbers WHERE at < ${TREES - 1})`;
  await commit([
    plain(`${numbers} INSERT INTO trees (id, root_id, instruction, status, mode, priority,
        after_task, budget_json, timeout_seconds, created_at, started_at)
      SELECT 'tree-' || at, 'root-' || at, 'x', iif(at % ${BEGUN_EVERY} = 0, 'running', 'queued'),
        'automatic', at % 10, 'none', '{}', 60, at, iif(at % ${BEGUN_EVERY} = 0, 1, NULL)
      FROM numbers`),
    plain(`${numbers} INSERT INTO actors (address, tree_id, kind, progress_at)
      SELECT 'root-' || at, 'tree-' || at, 'agent', 1 FROM numbers`),
    plain(`${numbers} INSERT INTO envelopes (id, tree_id, to_address, from_address, type,
        message_json, created_at)
      SELECT 'envelope-' || at, 'tree-' || at, 'root-' || at, 'person', 'task.started', '{}', 1
      FROM numbers`),
  ]);
}

function over(db: TempStore) {
  const woken: Runnable[] = [];
  const loop = { wake: (one: Runnable) => void woken.push(one), drop: () => {}, expect: () => {} };
  return { woken, look: new LostWorkLook({ store: db.store, clock: new HandClock(), loop }) };
}

Deno.test("after a restart with three thousand waiting trees none is hidden, and the first ones are told of first", async () => {
  await using db = await tempStore();
  await addWaitingTrees(db);
  const { woken, look } = over(db);
  await look.look();
  assert.equal(new Set(woken.map(({ address }) => address)).size, TREES);
  assert.equal(woken.length, TREES);
  const begun = woken.filter(({ unbegun_since }) => unbegun_since === undefined);
  assert.equal(begun.length, TREES / BEGUN_EVERY);
  assert.deepEqual(woken.slice(0, begun.length), begun);
  const ranks = woken.slice(begun.length)
    .map(({ unbegun_since, priority }) => unbegun_since! - priority * PRIORITY_STEP_MS);
  assert.deepEqual(ranks, ranks.toSorted((one, other) => one - other));
  assert.equal(woken[begun.length].priority, 9);
});

Deno.test("those that wait for long hide nobody: each look turns one page, and the next begins anew", async () => {
  await using db = await tempStore();
  await addWaitingTrees(db);
  const { woken, look } = over(db);
  await look.look();
  for (let round = 0; round < 2; round++) {
    woken.length = 0;
    // One look more: the last page is full, and only the next one says that nobody is left.
    for (let page = 0; page <= TREES / LOOK_ROWS_MAX; page++) {
      const before = woken.length;
      await look.look();
      assert.ok(woken.length - before <= LOOK_ROWS_MAX);
    }
    assert.equal(new Set(woken.map(({ address }) => address)).size, TREES);
  }
});
