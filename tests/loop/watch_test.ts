/** The watch over the real store, with the clock moved by hand. */
import assert from "node:assert/strict";
import { type Store, StoreError } from "../../db/store.ts";
import { setTimer } from "../../db/timers.ts";
import { POLL_MS } from "../../runtime/core/limits.ts";
import type { Address } from "../../runtime/core/protocol.ts";
import { Watch } from "../../runtime/loop/watch.ts";
import { ulids } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

interface Watched extends AsyncDisposable {
  readonly db: TempStore;
  readonly clock: HandClock;
  readonly watch: Watch;
  readonly woken: Address[];
  readonly logged: string[];
  /** What reading this table throws; nothing for the others. */
  readonly broken: Map<string, Error>;
  /** Lets time go by until the next look is over. */
  look(ms?: number): Promise<void>;
}

async function watched(): Promise<Watched> {
  const db = await tempStore({ seeded: true });
  const clock = new HandClock();
  const woken: Address[] = [];
  const logged: string[] = [];
  const broken = new Map<string, Error>();
  const read = new Proxy(db.store.read, {
    get(target, name) {
      if (name !== "selectFrom") return Reflect.get(target, name, target);
      return (table: string) => {
        const error = broken.get(table);
        if (error) throw error;
        return target.selectFrom(table as "trees");
      };
    },
  });
  const watch = new Watch({
    store: { ...db.store, read } as Store,
    clock,
    ids: ulids,
    news: { publish: () => {} },
    loop: { wake: ({ address }) => void woken.push(address), drop: () => {}, expect: () => {} },
    timeout_seconds: 60,
    log: (line) => void logged.push(line),
    check_interval_ms: 60_000,
  });
  return {
    db,
    clock,
    watch,
    woken,
    logged,
    broken,
    async look(ms = POLL_MS) {
      let gone = false;
      watch.gone.then(() => gone = true);
      clock.advance(ms);
      await until("the end of a look", () => gone || clock.waits.length > 0);
    },
    async [Symbol.asyncDispose]() {
      await watch.stop();
      await db[Symbol.asyncDispose]();
    },
  };
}

/** A timer of a new tree's root, which has nothing else to do. */
async function timed({ db, clock }: Watched, delay_ms: number): Promise<Address> {
  const { tree_id, root_id } = await addTestTree(db);
  await db.commit([
    { sql: "DELETE FROM envelopes WHERE to_address = ?", parameters: [root_id] },
    setTimer({
      address: root_id,
      name: "alarm",
      tree_id,
      message_json: JSON.stringify({ type: "hint", text: "It is time" }),
      due_at: clock.now() + delay_ms,
    }),
  ]);
  return root_id;
}

Deno.test("a timer becomes an envelope when it is due, once, and not before", async () => {
  await using one = await watched();
  const address = await timed(one, 60_000);
  await one.look(0);
  await one.look(59_999);
  assert.equal(one.woken.length, 0);
  await one.look(POLL_MS);
  assert.ok(one.woken.includes(address));
  await one.look();
  const mail = await one.db.store.read.selectFrom("envelopes").select("from_address")
    .where("to_address", "=", address).execute();
  assert.deepEqual(mail, [{ from_address: "timer" }]);
});

Deno.test("work that nobody announced is found by the next look", async () => {
  await using one = await watched();
  await one.look(0);
  const { root_id } = await addTestTree(one.db);
  await one.look();
  assert.deepEqual(one.woken, [root_id]);
});

Deno.test("a look that the database refuses keeps no other from looking, and looks again at the next time", async () => {
  await using one = await watched();
  const { root_id } = await addTestTree(one.db);
  const address = await timed(one, 0);
  one.broken.set("timers", new StoreError("The database failed: the disk is full"));
  one.broken.set("tasks as task", new StoreError("The database failed: the disk is full"));
  await one.look(0);
  assert.deepEqual(one.woken, [root_id]);
  assert.deepEqual(one.logged, [
    "Cannot look: The database failed: the disk is full",
    "Cannot look: The database failed: the disk is full",
  ]);
  one.broken.clear();
  await one.look();
  assert.ok(one.woken.includes(address));
  assert.equal(one.logged.length, 2);
});

Deno.test("a look with a bug ends the watch after the others have looked, and its supervisor hears why", async () => {
  await using one = await watched();
  const { root_id } = await addTestTree(one.db);
  one.broken.set("timers", new TypeError("timers is not what it seems"));
  await one.look(0);
  assert.equal(await one.watch.gone, "timers is not what it seems");
  assert.deepEqual(one.woken, [root_id]);
  assert.deepEqual(one.clock.waits, []);
});

Deno.test("a watch that is stopped in a look ends after it and looks no more", async () => {
  await using one = await watched();
  one.clock.advance(0);
  const stopped = one.watch.stop();
  await stopped;
  assert.equal(await one.watch.gone, null);
  assert.deepEqual(one.clock.waits, []);
});
