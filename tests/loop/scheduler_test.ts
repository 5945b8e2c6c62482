/** The scheduler over the real store, with cells that are played by the test. */
import assert from "node:assert/strict";
import { enqueue } from "../../db/envelopes.ts";
import type { Store } from "../../db/store.ts";
import type { Cells, Clock, Outbox } from "../../runtime/ports.ts";
import { systemClock, ulids } from "../../runtime/ports.ts";
import { Scheduler } from "../../runtime/loop/scheduler.ts";
import { addTestTree, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

interface Handed {
  readonly worker: number;
  readonly envelope: string;
  readonly message: string;
}

/** Notes what actors are handed; the test answers. */
class PlayedCells implements Cells {
  readonly handed: Handed[] = [];
  #workers = 0;
  onStep: Cells["onStep"] = () => {};
  onFailure: Cells["onFailure"] = () => {};
  start = () => ++this.#workers;
  stop = () => {};
  deliver(worker: number, envelope: string, message: string) {
    this.handed.push({ worker, envelope, message });
  }
  answer({ worker, envelope }: Handed) {
    this.onStep(worker, { envelope, state: "{}", effects: [] });
  }
}

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
