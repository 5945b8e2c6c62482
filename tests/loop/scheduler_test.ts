/** The scheduler over the real store, with cells that are played by the test. */
import assert from "node:assert/strict";
import { claimActor } from "../../db/actors.ts";
import { enqueue } from "../../db/envelopes.ts";
import { finishEffect } from "../../db/outbox.ts";
import type { Store } from "../../db/store.ts";
import type { UnitResult } from "../../db/unit.ts";
import { LEASE_MS, LEASE_RENEW_MS, RETRY_MAX_MS } from "../../runtime/core/limits.ts";
import type { Cells, Clock, Outbox } from "../../runtime/ports.ts";
import { systemClock, ulids } from "../../runtime/ports.ts";
import { Scheduler } from "../../runtime/loop/scheduler.ts";
import { HandClock } from "../support/clock.ts";
import { PlayedCells } from "../support/played_cells.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

interface Played {
  readonly outbox?: Partial<Outbox>;
  readonly clock?: Clock;
  readonly slots?: number;
  readonly log?: (line: string) => void;
}

function over(cells: Cells, store: Store, played: Played = {}): Scheduler {
  const { outbox = {}, clock = systemClock, slots = 1, log = () => {} } = played;
  const scheduler: Scheduler = new Scheduler({
    store,
    cells,
    outbox: { perform: () => Promise.resolve(), abort: () => {}, ...outbox },
    news: { publish: () => {} },
    loop: {
      wake: (runnable) => scheduler.wake(runnable),
      drop: (addresses) => scheduler.drop(addresses),
      expect: () => {},
    },
    clock,
    ids: ulids,
    log,
  }, { owner: "test", slots });
  return scheduler;
}

Deno.test("a cell that dies between a step's posting and its commit does not run the next step twice", async () => {
  await using db = await tempStore({ seeded: true });
  const { tree_id, root_id } = await addTestTree(db);
  const hint = (id: string) =>
    enqueue(
      { id, tree_id, to: root_id, from: "person", message: { type: "hint", text: id } },
      1,
    );
  await db.commit([hint("second"), hint("third")]);

  const cells = new PlayedCells();
  let gate: Promise<void> | null = null;
  const scheduler = over(cells, {
    ...db.store,
    commit: async (unit) => {
      const result = await db.store.commit(unit);
      await gate;
      return result;
    },
  });
  scheduler.wake({ address: root_id, tree_id, priority: 5, urgent: false });
  await until("the first envelope", () => cells.handed.length === 1);

  // Its answer is on disk, but the scheduler does not know yet: that is when the cell dies.
  const open = Promise.withResolvers<void>();
  gate = open.promise;
  cells.answer(cells.handed[0]);
  cells.onFailure(cells.handed[0].worker, "its cell ended", "none");
  gate = null;
  open.resolve();

  await until("the second envelope", () => cells.handed.length === 2);
  assert.notEqual(cells.handed[1].worker, cells.handed[0].worker);
  cells.answer(cells.handed[1]);
  await until("the third envelope", () => cells.handed.length === 3);
  cells.answer(cells.handed[2]);
  await until("its rest", () => scheduler.load.running === 0);
  assert.deepEqual(cells.handed.slice(1).map(({ envelope }) => envelope), ["second", "third"]);
  const entries = await db.store.read.selectFrom("entries").select("id")
    .where("task_id", "=", root_id).where("received", "=", 1).orderBy("seq").execute();
  assert.deepEqual(entries.slice(1).map(({ id }) => id), ["second", "third"]);
  await scheduler.stop();
});

Deno.test("an envelope that a step took in passing counts its attempt when it fails", async () => {
  await using db = await tempStore({ seeded: true });
  const { tree_id, root_id } = await addTestTree(db);
  const message = { type: "hint", text: "x" };
  await db.commit([enqueue({ id: "second", tree_id, to: root_id, from: "person", message }, 1)]);
  const cells = new PlayedCells();
  const scheduler = over(cells, db.store);
  scheduler.wake({ address: root_id, tree_id, priority: 5, urgent: false });
  await until("the first envelope", () => cells.handed.length === 1);
  cells.answer(cells.handed[0]);
  for (const attempt of [2, 3, 4]) {
    await until(`attempt ${attempt - 1} at the second`, () => cells.handed.length === attempt);
    cells.onFailure(cells.handed[attempt - 1].worker, "it threw", "own");
  }
  const letter = await until(
    "the dead letter",
    () => db.store.read.selectFrom("dead_letters").selectAll().executeTakeFirst(),
  );
  assert.equal(letter.id, "second");
  assert.equal(letter.attempts, 3);
  await until("its end", () => scheduler.load.running === 0);
  await scheduler.stop();
});

const runnableOf = ({ tree_id, root_id }: { tree_id: string; root_id: string }) => ({
  address: root_id,
  tree_id,
  priority: 5,
  urgent: false,
});

const actorOf = (db: TempStore, address: string) =>
  db.store.read.selectFrom("actors").selectAll().where("address", "=", address)
    .executeTakeFirstOrThrow();

Deno.test("a supervisor that had asked a person is claimed once when it is called urgently with all slots taken", async () => {
  await using db = await tempStore({ seeded: true });
  const [holder, supervisor] = [await addTestTree(db), await addTestTree(db)];
  const cells = new PlayedCells();
  const scheduler = over(cells, db.store);
  scheduler.wake(runnableOf(holder));
  await until("the holder of the slot", () => cells.handed.length === 1);
  // The watch finds its answer and knows nothing of its urgency; then somebody says it.
  scheduler.wake(runnableOf(supervisor));
  assert.equal(scheduler.load.runnable, 1);
  scheduler.wake({ ...runnableOf(supervisor), urgent: true });
  scheduler.wake({ ...runnableOf(supervisor), urgent: true });
  await until("the supervisor beside the slots", () => cells.handed.length === 2);
  assert.equal(scheduler.load.runnable, 0);
  cells.answer(cells.handed[0]);
  await until("a free slot", () => scheduler.load.running === 1);
  cells.answer(cells.handed[1]);
  await until("nobody's running", () => scheduler.load.running === 0);
  await until("nobody's claim", async () => {
    const { owner } = await actorOf(db, supervisor.root_id);
    return owner === null;
  });
  assert.equal((await actorOf(db, supervisor.root_id)).epoch, 1);
  assert.equal(cells.handed.length, 2);
  assert.equal(cells.workers.size, 0);
  await scheduler.stop();
});

/** A store over a disk that the test may fill. */
function fillable(db: TempStore) {
  const disk = {
    full: false,
    /** Commits that it had no room for. */
    failed: 0,
    store: {
      ...db.store,
      commit: (unit): Promise<UnitResult> => {
        if (!disk.full) return db.store.commit(unit);
        disk.failed++;
        return Promise.resolve({ ok: false, refused: false, reason: "database or disk is full" });
      },
    } as Store,
  };
  return disk;
}

Deno.test("after 25 s in which the disk was full every tree goes on, and each was complained of once", async () => {
  await using db = await tempStore({ seeded: true });
  const trees = await Promise.all([1, 2, 3, 4].map(() => addTestTree(db)));
  const [settling, failing, passivating, claiming] = trees;
  const cells = new PlayedCells();
  const clock = new HandClock();
  const disk = fillable(db);
  const lines: string[] = [];
  const scheduler = over(cells, disk.store, {
    clock,
    slots: 4,
    log: (line) => lines.push(line),
  });
  for (const tree of [settling, failing]) {
    scheduler.wake(runnableOf(tree));
    await until("its envelope", () => cells.handed.length === trees.indexOf(tree) + 1);
  }
  // One that has nothing to do: it is let go of when the disk is full already.
  await db.commit([{
    sql: "DELETE FROM envelopes WHERE to_address = ?",
    parameters: [passivating.root_id],
  }]);
  const { commit } = disk.store;
  disk.store.commit = async (unit) => {
    const result = await commit(unit);
    disk.full = true;
    return result;
  };
  scheduler.wake(runnableOf(passivating));
  await until("a claim of the third", () => disk.full);
  disk.store.commit = commit;
  scheduler.wake(runnableOf(claiming));
  cells.answer(cells.handed[0]);
  cells.onFailure(cells.handed[1].worker, "its cell ended", "none");
  await until("four commits without an outcome", () => disk.failed >= 4);
  for (let ms = 0; ms < 25_000; ms += 500) {
    clock.advance(500);
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
  }
  const said = (address: string) => lines.filter((line) => line.includes(`${address}: database`));
  for (const { root_id } of trees) assert.equal(said(root_id).length, 1, lines.join("\n"));

  disk.full = false;
  clock.advance(RETRY_MAX_MS);
  await until("what failed and what could not be claimed", () => {
    // A put-back envelope is due at once, by the clock.
    clock.advance(1);
    return cells.handed.length === 4;
  });
  for (const handed of cells.handed.slice(2)) cells.answer(handed);
  await until("everybody's rest", () => scheduler.load.running === 0);
  for (const { root_id } of trees) {
    await until("nobody's claim", async () => (await actorOf(db, root_id)).owner === null);
  }
  const left = await db.store.read.selectFrom("envelopes").select("id").execute();
  assert.deepEqual(left, []);
  assert.equal(cells.workers.size, 0);
  await scheduler.stop();
});

Deno.test("a store that answers with an error after it did the work loses nothing and has nothing done twice", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const { tree_id, root_id } = tree;
  const hint = (id: string) =>
    enqueue({ id, tree_id, to: root_id, from: "person", message: { type: "hint", text: id } }, 1);
  await db.commit([hint("second")]);
  const clock = new HandClock();
  const cells = new PlayedCells();
  /** Statements by which a kind of commit is known; the first of each kind is answered with an error. */
  const lied = new Set<string>();
  const store: Store = {
    ...db.store,
    commit: async (unit): Promise<UnitResult> => {
      const result = await db.store.commit(unit);
      const kind = unit.at(1)?.sql ?? unit[0].sql;
      if (!result.ok || lied.has(kind)) return result;
      lied.add(kind);
      return { ok: false, refused: false, reason: "disk I/O error" };
    },
  };
  const scheduler = over(cells, store, { clock });
  const handed = (times: number) =>
    until(`envelope ${times}`, () => {
      clock.advance(1_000);
      return cells.handed[times - 1];
    });
  const rest = () =>
    until("nobody's claim", async () => {
      clock.advance(1_000);
      return scheduler.load.running === 0 && (await actorOf(db, root_id)).owner === null;
    });
  scheduler.wake(runnableOf(tree));
  const first = await handed(1);
  cells.onFailure(first.worker, "its cell ended", "none");
  const again = await handed(2);
  assert.equal(again.envelope, first.envelope);
  cells.answer(again);
  assert.equal((await handed(3)).envelope, "second");
  cells.answer(cells.handed[2]);
  await rest();

  await db.commit([hint("third")]);
  scheduler.wake(runnableOf(tree));
  for (const attempt of [4, 5, 6]) {
    cells.onFailure((await handed(attempt)).worker, "it threw", "own");
  }
  await rest();
  assert.equal(cells.handed.length, 6);
  const entries = await db.store.read.selectFrom("entries").select("id")
    .where("task_id", "=", root_id).where("received", "=", 1).orderBy("seq").execute();
  assert.deepEqual(entries.map(({ id }) => id), [first.envelope, "second"]);
  const letters = await db.store.read.selectFrom("dead_letters").select(["id", "attempts"])
    .execute();
  assert.deepEqual(letters, [{ id: "third", attempts: 3 }]);
  const task = await db.store.read.selectFrom("tasks").select("status").where("id", "=", root_id)
    .executeTakeFirstOrThrow();
  assert.equal(task.status, "failed");
  assert.deepEqual(await db.store.read.selectFrom("envelopes").select("id").execute(), []);
  // A claim, a settling, a put-back, a look, a rest and a burial, if not the renewal too.
  assert.ok(lied.size >= 6, [...lied].join("\n"));
  await scheduler.stop();
});

Deno.test("a lease is renewed for what this node runs, and for nothing else that stands in its name", async () => {
  await using db = await tempStore({ seeded: true });
  const [run, forgotten] = [await addTestTree(db), await addTestTree(db)];
  const cells = new PlayedCells();
  const clock = new HandClock();
  const now = clock.now();
  await db.commit([
    claimActor({ address: forgotten.root_id, owner: "test", now, lease_until: now + LEASE_MS }),
  ]);
  const scheduler = over(cells, db.store, { clock });
  scheduler.wake(runnableOf(run));
  await until("its envelope", () => cells.handed.length === 1);
  clock.advance(LEASE_RENEW_MS);
  await until("a longer lease", async () => {
    const { lease_until } = await actorOf(db, run.root_id);
    return lease_until === now + LEASE_RENEW_MS + LEASE_MS;
  });
  assert.equal((await actorOf(db, forgotten.root_id)).lease_until, now + LEASE_MS);
  cells.answer(cells.handed[0]);
  await until("its rest", () => scheduler.load.running === 0);
  await scheduler.stop();
});

Deno.test("a scheduler that is stopped calls off what is performed, and waits for its commits under way", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const cells = new PlayedCells();
  const called_off: string[] = [];
  const over_with = Promise.withResolvers<void>();
  let gate: Promise<void> | null = null;
  let commits = 0;
  const store: Store = {
    ...db.store,
    commit: async (unit) => {
      commits++;
      const result = await db.store.commit(unit);
      await gate;
      commits--;
      return result;
    },
  };
  const scheduler = over(cells, store, {
    clock: new HandClock(),
    outbox: {
      perform: () => over_with.promise,
      abort: (address) => {
        called_off.push(address);
        if (cells.handed.length > 0) over_with.resolve();
      },
    },
  });
  scheduler.wake(runnableOf(tree));
  await until("its envelope", () => cells.handed.length === 1);
  const { worker, envelope } = cells.handed[0];
  const effects = [{ type: "ask_model" as const, turn: 1 }];
  cells.onStep(worker, { envelope, state: "{}", effects });
  await until("its effect", () => commits === 0);
  const open = Promise.withResolvers<void>();
  gate = open.promise;
  called_off.length = 0;
  let stopped = false;
  const stopping = scheduler.stop().then(() => stopped = true);
  assert.deepEqual(new Set(called_off), new Set([tree.root_id]));
  await until("the commit that lets go of it", () => commits === 1);
  // Whoever calls it now is not heard by it.
  scheduler.wake(runnableOf(tree));
  await until("what it did", async () => (await actorOf(db, tree.root_id)).owner === null);
  assert.equal(stopped, false);
  open.resolve();
  await stopping;
  assert.equal(commits, 0);
  assert.equal(cells.workers.size, 0);
});

Deno.test("an effect that was called off and begun anew is not performed beside itself when the first one ends", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const { tree_id, root_id } = tree;
  const cells = new PlayedCells();
  const performed: PromiseWithResolvers<void>[] = [];
  let lie = false;
  const store: Store = {
    ...db.store,
    commit: async (unit) => {
      const result = await db.store.commit(unit);
      if (!lie) return result;
      lie = false;
      return { ok: false, refused: false, reason: "no answer" };
    },
  };
  const scheduler = over(cells, store, {
    outbox: {
      perform: () => {
        const performing = Promise.withResolvers<void>();
        performed.push(performing);
        return performing.promise;
      },
    },
  });
  scheduler.wake(runnableOf(tree));
  await until("its envelope", () => cells.handed.length === 1);
  const { worker, envelope } = cells.handed[0];
  const child = { agent: "evaluator", purpose: "evaluation", instruction: "x" } as const;
  cells.onStep(worker, { envelope, state: "{}", effects: [{ type: "start_child", ...child }] });
  await until("its effect", () => performed.length === 1);
  const message = { type: "hint", text: "x" };
  await db.commit([enqueue({ id: "hint", tree_id, to: root_id, from: "person", message }, 1)]);
  scheduler.wake(runnableOf(tree));
  await until("the hint", () => cells.handed.length === 2);
  // Whether that step was settled only a new claim tells, which begins anew what is open.
  lie = true;
  cells.answer(cells.handed[1]);
  await until("its effect, begun anew", () => performed.length === 2);
  performed[0].resolve();
  await until("the first one's end", () => true);
  scheduler.wake(runnableOf(tree));
  const more = { id: "more", tree_id, to: root_id, from: "person", message };
  await db.commit([enqueue(more, 1)]);
  scheduler.wake(runnableOf(tree));
  await until("another hint", () => cells.handed.length === 3);
  cells.answer(cells.handed[2]);
  assert.equal(performed.length, 2);
  await db.commit([finishEffect({ key: `${envelope}/00`, now: 1 })]);
  performed[1].resolve();
  await until("its rest", () => scheduler.load.running === 0);
  assert.equal(performed.length, 2);
  await scheduler.stop();
});
