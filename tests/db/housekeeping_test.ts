import assert from "node:assert/strict";
import { addEffect, finishEffect } from "../../db/outbox.ts";
import { addReview } from "../../db/reviews.ts";
import { rememberAnswer } from "../../db/idempotency_keys.ts";
import { endTask } from "../../db/endings.ts";
import { clearing } from "../../db/housekeeping.ts";
import { openStore } from "../../db/store.ts";
import { HOUSEKEEPING_ROWS_MAX, IDEMPOTENCY_MS, KEPT_MS } from "../../runtime/core/limits.ts";
import { HOUSEKEEPING_EVERY_MS, STORE_IDLE_MS } from "../../runtime/core/limits.ts";
import { Housekeeping } from "../../runtime/loop/housekeeping.ts";
import { HandClock } from "../support/clock.ts";
import { addTestTree, refusal, type TempStore, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

/** Trees in a copy of the database file, without what stands beside it. */
async function treesInCopyOf({ folder }: { folder: string }): Promise<number> {
  const { default: Database } = await import("libsql");
  const copy = `${folder}/copy-${crypto.randomUUID()}.db`;
  await Deno.copyFile(`${folder}/troupe.db`, copy);
  const db = new Database(copy);
  try {
    return (db.prepare("SELECT count(*) AS trees FROM trees").get([]) as { trees: number }).trees;
  } finally {
    db.close();
  }
}

const keeping = ({ store }: TempStore, clock: HandClock) =>
  new Housekeeping({
    store,
    clock,
    news: { publish() {} },
    loop: { wake() {}, drop() {}, expect() {} },
  });

const review = (tree: { tree_id: string; root_id: string }, id: string) =>
  addReview({
    id,
    tree_id: tree.tree_id,
    task_id: tree.root_id,
    call_id: id,
    issue: "May I?",
    blocking: true,
  }, 1);

async function idsIn(db: TempStore, table: "outbox" | "reviews" | "idempotency_keys") {
  const column = table === "reviews" ? "id" : "key";
  const rows = await db.store.read.selectFrom(table).select(column as never).execute();
  return (rows as Record<string, string>[]).map((row) => row[column]).sort();
}

Deno.test("a copy of the database file alone holds everything after the log is written back", async () => {
  await using db = await tempStore({ seeded: true });
  await addTestTree(db);
  assert.equal(await treesInCopyOf(db), 0);
  assert.ok(await db.store.writeBack());
  assert.equal(await treesInCopyOf(db), 1);
});

Deno.test("a copy of the database file alone holds everything after a stop", async () => {
  await using db = await tempStore({ seeded: true });
  await addTestTree(db);
  // A second opener keeps the log from being taken away by the library itself.
  const other = await openStore(db.url);
  await db.store.close();
  assert.equal(await treesInCopyOf(db), 1);
  await other.close();
});

Deno.test("a stop leaves nothing in the log, which would be played into a file that is put in its place", async () => {
  await using db = await tempStore({ seeded: true });
  await addTestTree(db);
  await db.store.writeBack();
  const log = `${db.folder}/troupe.db-wal`;
  assert.ok((await Deno.stat(log)).size > 0, "it keeps its length while there is a store");
  await db.store.close();
  assert.equal(await Deno.stat(log).then(({ size }) => size, () => 0), 0);
});

Deno.test("a store in which nothing is committed for a while writes its log back, and once", async () => {
  await using db = await tempStore({ seeded: true });
  const clock = new HandClock();
  const housekeeping = keeping(db, clock);
  await addTestTree(db);
  const look = async () => {
    await until("it waits again", () => clock.waits[0] === STORE_IDLE_MS);
    clock.advance(STORE_IDLE_MS);
  };
  await look();
  await addTestTree(db);
  await look();
  await until("it waits again", () => clock.waits[0] === STORE_IDLE_MS);
  assert.equal(await treesInCopyOf(db), 0, "it wrote back although something was committed");
  await look();
  await until("it is written back", async () => await treesInCopyOf(db) === 2);
  await housekeeping.stop();
});

Deno.test("a log that a reader still needs is not waited for", async () => {
  await using db = await tempStore({ seeded: true });
  const { default: Database } = await import("libsql");
  const reader = new Database(`${db.folder}/troupe.db`);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM trees").get([]);
  await addTestTree(db);
  assert.equal(await db.store.writeBack(), false);
  reader.exec("COMMIT");
  assert.equal(await db.store.writeBack(), true);
  reader.close();
});

Deno.test("an effect is cleared away a day after its outcome, an open one never", async () => {
  await using db = await tempStore({ seeded: true });
  const { tree_id, root_id } = await addTestTree(db);
  const effect = { tree_id, address: root_id, effect_json: "{}", now: 1 };
  await db.commit([
    addEffect({ ...effect, key: "done" }),
    addEffect({ ...effect, key: "open" }),
    finishEffect({ key: "done", now: 10 }),
  ]);
  await db.commit(clearing(10 + KEPT_MS));
  assert.deepEqual(await idsIn(db, "outbox"), ["done", "open"]);
  await db.commit(clearing(11 + KEPT_MS));
  assert.deepEqual(await idsIn(db, "outbox"), ["open"]);
  assert.match(await refusal(db.store, [finishEffect({ key: "done", now: 11 })]), /has an outcome/);
});

Deno.test("reviews are cleared away a day after their tree has ended, undecided ones never", async () => {
  await using db = await tempStore({ seeded: true });
  const [ended, live] = [await addTestTree(db), await addTestTree(db)];
  const open = addReview({
    id: "c",
    tree_id: ended.tree_id,
    task_id: ended.root_id,
    call_id: "c",
    issue: "Look at this when you can",
    blocking: false,
  }, 1);
  await db.commit([review(ended, "a"), review(live, "b"), open]);
  const end = endTask(ended.root_id, { status: "done", result: "2" }, "envelope", 10);
  await db.commit(end.unit);
  await db.commit(clearing(10 + KEPT_MS));
  assert.deepEqual(await idsIn(db, "reviews"), ["a", "b", "c"]);
  await db.commit(clearing(11 + KEPT_MS));
  assert.deepEqual(await idsIn(db, "reviews"), ["b", "c"]);
});

Deno.test("an idempotency key is cleared away when it may be used again", async () => {
  await using db = await tempStore();
  await db.commit([rememberAnswer("key", "{}", {}, 10)]);
  await db.commit(clearing(10 + IDEMPOTENCY_MS));
  assert.deepEqual(await idsIn(db, "idempotency_keys"), ["key"]);
  await db.commit(clearing(11 + IDEMPOTENCY_MS));
  assert.deepEqual(await idsIn(db, "idempotency_keys"), []);
});

Deno.test("more old rows than one round removes are gone after the next rounds, which follow soon", async () => {
  await using db = await tempStore();
  const keys = Array.from({ length: HOUSEKEEPING_ROWS_MAX + 1 }, (_, at) => `key${at}`);
  await db.commit(keys.map((key) => rememberAnswer(key, "{}", {}, 1)));
  const clock = new HandClock();
  const housekeeping = keeping(db, clock);
  clock.advance(HOUSEKEEPING_EVERY_MS);
  await until("one round is over", async () => (await idsIn(db, "idempotency_keys")).length === 1);
  await until("the next one is near", () => clock.waits.length === 2);
  clock.advance(STORE_IDLE_MS);
  await until("all are gone", async () => (await idsIn(db, "idempotency_keys")).length === 0);
  await housekeeping.stop();
});
