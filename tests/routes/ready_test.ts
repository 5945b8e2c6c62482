/** `/ready` vouches for a write, and for no more writes than needed. */
import assert from "node:assert/strict";
import type { Store } from "../../db/store.ts";
import { Rows, type UnitResult } from "../../db/unit.ts";
import { health } from "../../routes/api/health.ts";
import { NOBODY } from "../../runtime/commands/commit.ts";
import { Liveness } from "../../runtime/commands/liveness.ts";
import { HandClock } from "../support/clock.ts";
import { type TempStore, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

const IDLE = {
  look: () =>
    Promise.resolve({
      agents: { running: 0, runnable: 0, slots: 1 },
      cells: { cells: 1, workers: 0 },
    }),
} as unknown as Omit<Parameters<typeof health>[0], "liveness">;

let db: TempStore;
Deno.test.beforeAll(async () => {
  db = await tempStore();
});
Deno.test.afterAll(async () => await db[Symbol.asyncDispose]());

/** The route over a store whose commits a test replaces. */
function asked(store: Pick<Store, "commit">) {
  const clock = new HandClock();
  let writes = 0;
  const counted: Pick<Store, "commit"> = {
    commit: (unit) => {
      writes++;
      return store.commit(unit);
    },
  };
  // Showing life takes nothing of a store but its commits.
  const committing = { store: counted as Store, ...NOBODY };
  const app = health({ ...IDLE, liveness: new Liveness(() => committing, clock) });
  const ready = async () => {
    const response = await app.request("/ready");
    const { status, reason } = await response.json();
    return { code: response.status, status, reason };
  };
  return { clock, ready, writes: () => writes };
}

Deno.test("a hundred who ask whether it is ready at once cost one write, and a second later one more", async () => {
  const { clock, ready, writes } = asked(db.store);
  const hundred = () => Promise.all(Array.from({ length: 100 }, ready));
  for (const { code } of await hundred()) assert.equal(code, 200);
  clock.advance(999);
  for (const { code } of await hundred()) assert.equal(code, 200);
  assert.equal(writes(), 1);
  clock.advance(1);
  await hundred();
  assert.equal(writes(), 2);
  const row = await db.store.read.selectFrom("liveness").selectAll().executeTakeFirstOrThrow();
  assert.equal(row.written_at, clock.now());
});

Deno.test("a database on a full disk is not ready, says why, and is ready again once there is space", async () => {
  let full = false;
  const { clock, ready } = asked({
    commit: (unit) =>
      full
        ? Promise.resolve({ ok: false, refused: false, reason: "database or disk is full" })
        : db.store.commit(unit),
  });
  assert.equal((await ready()).status, "ready");
  full = true;
  clock.advance(1_000);
  const reason = "database or disk is full";
  assert.deepEqual(await ready(), { code: 503, status: "not ready", reason });
  full = false;
  clock.advance(1_000);
  assert.equal((await ready()).status, "ready");
});

Deno.test("a write that was refused, and a store that is gone, are not ready", async () => {
  await using db = await tempStore();
  await db.commit([{ sql: "DELETE FROM liveness", parameters: [] }]);
  const { clock, ready } = asked(db.store);
  const reason = "the row of liveness is missing";
  assert.deepEqual(await ready(), { code: 503, status: "not ready", reason });
  db.store.crash();
  clock.advance(1_000);
  assert.match((await ready()).reason, /The store is gone/);
});

Deno.test("a write that takes more than two seconds is none, and no second one is made beside it", async () => {
  const slow = Promise.withResolvers<UnitResult>();
  const { clock, ready, writes } = asked({ commit: () => slow.promise });
  const first = ready();
  await Promise.resolve();
  clock.advance(2_000);
  assert.match((await first).reason, /not taken a write for 2 s/);
  assert.match((await ready()).reason, /not taken a write for 2 s/);
  assert.equal(writes(), 1);
  slow.resolve({ ok: true, rows: new Rows([], []) });
  await until("that it is ready again", async () => {
    clock.advance(1_000);
    return (await ready()).status === "ready";
  });
  assert.equal(writes(), 2);
});
