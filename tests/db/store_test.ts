import assert from "node:assert/strict";
import { claimActor, claimOf } from "../../db/actors.ts";
import { noteEntry } from "../../db/entries.ts";
import { deliveredOf, enqueue, putBack, takeFirst } from "../../db/envelopes.ts";
import { openStore, type Store, StoreError } from "../../db/store.ts";
import { addReview } from "../../db/reviews.ts";
import { endTask } from "../../db/endings.ts";
import type { Statement } from "../../db/unit.ts";
import { MAILBOX_MAX, MESSAGE_BYTES_MAX, STORE_GROUP_MAX } from "../../runtime/core/limits.ts";
import type { Message } from "../../runtime/core/protocol.ts";
import type { Step } from "../../runtime/core/actor.ts";
import type { Claim, Delivered } from "../../runtime/core/delivery.ts";
import { settle } from "../../runtime/loop/settle.ts";
import { ulids } from "../../runtime/ports.ts";
import { tempFolder } from "../support/folder.ts";
import { addTestTree, everyRow, refusal, type TempStore, tempStore } from "../support/store.ts";

type Tree = { tree_id: string; root_id: string };

const TABLES = ["trees", "tasks", "actors", "entries", "envelopes", "outbox"] as const;

const plain = (sql: string, ...parameters: (string | number)[]): Statement => ({ sql, parameters });

const note = ({ tree_id, root_id }: Tree, id: string) =>
  noteEntry({ id, task_id: root_id, tree_id, type: "note", message_json: "{}", by: null, now: 1 });

const hint = ({ tree_id, root_id }: Tree, id: string, text = "x") =>
  enqueue({ id, tree_id, to: root_id, from: "person", message: { type: "hint", text } }, 1);

async function claim(db: TempStore, { root_id }: Tree, owner = "me", now = 1) {
  const claiming = claimActor({ address: root_id, owner, now, lease_until: now + 1000 });
  const taking = takeFirst({ address: root_id, now });
  const rows = await db.commit([claiming, taking]);
  const envelope = deliveredOf(rows.of(taking));
  assert.ok(envelope);
  return { claim: claimOf(rows.of(claiming)[0]), envelope };
}

const step = (envelope: Delivered, more: Partial<Step> = {}): Step => ({
  envelope: envelope.id,
  state: '{"seen":1}',
  effects: [{ type: "ask_model", turn: 1 }],
  ...more,
});

const settling = (held: Claim, envelope: Delivered, more: Partial<Step> = {}) =>
  settle(
    held,
    envelope,
    step(envelope, more),
    ulids,
    2,
  ).unit;

/** Of the tests that look at trees of their own, or at what did not change; each writes ids of its own. */
let db: TempStore;
Deno.test.beforeAll(async () => {
  db = await tempStore({ seeded: true });
});
Deno.test.afterAll(async () => await db[Symbol.asyncDispose]());

Deno.test("an entry of the journal cannot be changed", async () => {
  await db.commit([note(await addTestTree(db), "n")]);
  const before = await everyRow(db.store, ["entries"]);
  for (
    const sql of [
      "UPDATE entries SET message_json = '[]' WHERE id = 'n'",
      "UPDATE entries SET seq = seq + 1",
      "INSERT OR REPLACE INTO entries (seq, id, task_id, tree_id, received, type, message_json, created_at) SELECT seq, id, task_id, tree_id, received, type, '[]', created_at FROM entries",
    ]
  ) {
    await db.store.commit([plain(sql)]);
    assert.equal(await everyRow(db.store, ["entries"]), before, sql);
  }
  assert.match(
    await refusal(db.store, [plain("UPDATE entries SET type = 'x'")]),
    /append-only: an entry cannot be changed/,
  );
});

Deno.test("an entry of the journal cannot be removed", async () => {
  await using db = await tempStore({ seeded: true });
  await db.commit([note(await addTestTree(db), "n")]);
  assert.match(
    await refusal(db.store, [plain("DELETE FROM entries WHERE id = 'n'")]),
    /append-only: an entry cannot be removed/,
  );
  assert.equal((await db.store.read.selectFrom("entries").selectAll().execute()).length, 1);
});

Deno.test("an entry's id can be written once", async () => {
  const tree = await addTestTree(db);
  await db.commit([note(tree, "once")]);
  assert.match(await refusal(db.store, [note(tree, "once")]), /UNIQUE/);
});

Deno.test("a unit takes effect as a whole or not at all, wherever it fails", async () => {
  const tree = await addTestTree(db);
  const good = [note(tree, "a"), hint(tree, "e"), note(tree, "b")];
  const before = await everyRow(db.store, TABLES);
  for (
    const bad of [plain("INSERT INTO nowhere VALUES (1)"), hint({ ...tree, root_id: "?" }, "x")]
  ) {
    for (let at = 0; at <= good.length; at++) {
      await refusal(db.store, good.toSpliced(at, 0, bad));
      assert.equal(await everyRow(db.store, TABLES), before, `failing at ${at}`);
    }
  }
  await db.commit(good);
});

Deno.test("a refused unit leaves the others of its group untouched", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  // Committed in one turn: one group.
  const results = await Promise.all(
    Array.from({ length: 9 }, (_, at) =>
      db.store.commit(
        at % 3 === 1 ? [note(tree, `n${at}`), hint({ ...tree, root_id: "?" }, `x${at}`)] : [
          note(tree, `n${at}`),
        ],
      )),
  );
  assert.deepEqual(results.map(({ ok }) => ok), [1, 0, 1, 1, 0, 1, 1, 0, 1].map(Boolean));
  const rows = await db.store.read.selectFrom("entries").select("id").orderBy("seq").execute();
  assert.deepEqual(rows.map(({ id }) => id), ["n0", "n2", "n3", "n5", "n6", "n8"]);
});

Deno.test("more units than one group holds are committed in the order in which they came", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const many = STORE_GROUP_MAX * 2 + 1;
  const results = await Promise.all(
    Array.from({ length: many }, (_, at) => db.store.commit([note(tree, `n${at}`)])),
  );
  assert.ok(results.every(({ ok }) => ok));
  const rows = await db.store.read.selectFrom("entries").select("id").orderBy("seq").execute();
  assert.deepEqual(rows.map(({ id }) => id), Array.from({ length: many }, (_, at) => `n${at}`));
});

Deno.test("what a statement gave back is asked for by the statement, wherever in a unit it stands", async () => {
  const [one, other] = [await addTestTree(db), await addTestTree(db)];
  const taking = [one, other].map(({ root_id }) => takeFirst({ address: root_id, now: 1 }));
  for (const unit of [taking, [note(one, "before"), ...taking.toReversed()]]) {
    const rows = await db.commit(unit);
    const started = await db.store.read.selectFrom("envelopes").select("id")
      .where("to_address", "in", [one.root_id, other.root_id]).orderBy("seq").execute();
    assert.deepEqual(taking.map((each) => rows.of(each)[0].id), started.map(({ id }) => id));
    assert.throws(() => rows.of(hint(one, "h")), /Not a statement of this unit/);
  }
});

Deno.test("a unit whose expectation fails is refused with the words of its guard", async () => {
  const result = await db.store.commit([
    { ...plain("DELETE FROM trees WHERE id = 'none'"), expect: "one", refusal: "No such tree" },
  ]);
  assert.deepEqual(result, { ok: false, refused: true, reason: "No such tree" });
});

Deno.test("a guard that expects one row is refused when two are touched", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  await db.commit([hint(tree, "a"), hint(tree, "b")]);
  const before = await everyRow(db.store, TABLES);
  const both: Statement = { ...plain("DELETE FROM envelopes"), expect: "one" };
  await refusal(db.store, [both]);
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("an actor that somebody holds cannot be claimed before the lease is over", async () => {
  const tree = await addTestTree(db);
  const held = await claim(db, tree, "me", 1);
  const again = (now: number) =>
    claimActor({ address: tree.root_id, owner: "you", now, lease_until: now + 1000 });
  assert.match(await refusal(db.store, [again(1001)]), /somebody else holds it/);
  const claiming = again(1002);
  const [actor] = (await db.commit([claiming])).of(claiming);
  assert.equal(actor.epoch, held.claim.epoch + 1);
});

Deno.test("a task that has ended cannot be claimed, and cannot end a second time", async () => {
  const tree = await addTestTree(db);
  const end = (status: "done" | "failed") =>
    endTask(tree.root_id, { status, result: "x" }, ulids.next(), 2).unit;
  await db.commit(end("done"));
  const before = await everyRow(db.store, TABLES);
  assert.match(await refusal(db.store, end("failed")), /has ended already/);
  await refusal(db.store, [
    claimActor({ address: tree.root_id, owner: "me", now: 3, lease_until: 9 }),
  ]);
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("settling writes the entry, removes the envelope and keeps the effect", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const { claim: held, envelope } = await claim(db, tree);
  await db.commit(settling(held, envelope));
  const entries = await db.store.read.selectFrom("entries").selectAll().execute();
  assert.deepEqual(entries.map(({ id, type, received }) => [id, type, received]), [
    [envelope.id, "task.started", 1],
  ]);
  assert.deepEqual(await db.store.read.selectFrom("envelopes").selectAll().execute(), []);
  const [effect] = await db.store.read.selectFrom("outbox").selectAll().execute();
  assert.equal(effect.effect_json, '{"type":"ask_model","turn":1}');
  const [actor] = await db.store.read.selectFrom("actors").select("state_json").execute();
  assert.equal(actor.state_json, '{"seen":1}');
});

Deno.test("settling with an epoch that is over changes nothing", async () => {
  const tree = await addTestTree(db);
  const late = await claim(db, tree, "me", 1);
  await claim(db, tree, "me", 5000);
  const before = await everyRow(db.store, TABLES);
  assert.match(
    await refusal(db.store, settling(late.claim, late.envelope)),
    /claim no longer holds/,
  );
  const ending = { ending: { status: "done", result: "late" } } as const;
  await refusal(db.store, settling(late.claim, late.envelope, ending));
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("settling as another owner changes nothing", async () => {
  const tree = await addTestTree(db);
  const { claim: held, envelope } = await claim(db, tree);
  const before = await everyRow(db.store, TABLES);
  await refusal(db.store, settling({ ...held, owner: "you" }, envelope));
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("settling twice changes nothing the second time", async () => {
  const tree = await addTestTree(db);
  const { claim: held, envelope } = await claim(db, tree);
  await db.commit(settling(held, envelope));
  const before = await everyRow(db.store, TABLES);
  await refusal(db.store, settling(held, envelope));
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("a claim of one actor does not settle an envelope of another one", async () => {
  const [mine, theirs] = [await addTestTree(db), await addTestTree(db)];
  const { claim: held } = await claim(db, mine);
  const { envelope } = await claim(db, theirs);
  const before = await everyRow(db.store, TABLES);
  await refusal(db.store, settling(held, envelope));
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("a step whose send is refused is refused as a whole", async () => {
  const [mine, theirs] = [await addTestTree(db), await addTestTree(db)];
  const { claim: held, envelope } = await claim(db, mine);
  const before = await everyRow(db.store, TABLES);
  const message: Message = { type: "hint", text: "Obey" };
  const effects = [{ type: "send" as const, to: theirs.root_id, message }];
  await refusal(db.store, settling(held, envelope, { effects }));
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("a mailbox takes as many envelopes as the limit says and refuses one more", async () => {
  const tree = await addTestTree(db);
  // The first one is the task's own.
  await Promise.all(
    Array.from({ length: MAILBOX_MAX - 1 }, (_, at) => db.commit([hint(tree, `e${at}`)])),
  );
  assert.match(await refusal(db.store, [hint(tree, "more")]), /mailbox is full/);
  await db.commit([plain("DELETE FROM envelopes WHERE id = 'e0'")]);
  await db.commit([hint(tree, "more")]);
});

Deno.test("a full mailbox of one actor does not concern another", async () => {
  const [full, other] = [await addTestTree(db), await addTestTree(db)];
  await Promise.all(
    Array.from({ length: MAILBOX_MAX - 1 }, (_, at) => db.commit([hint(full, `full-${at}`)])),
  );
  await db.commit([hint(other, "one")]);
});

Deno.test("an envelope cannot be sent into another tree, to nobody, or to who has ended", async () => {
  const [mine, other] = [await addTestTree(db), await addTestTree(db)];
  await refusal(db.store, [hint({ tree_id: mine.tree_id, root_id: other.root_id }, "a")]);
  await refusal(db.store, [hint({ tree_id: mine.tree_id, root_id: "nobody" }, "b")]);
  await db.commit(endTask(mine.root_id, { status: "done", result: "x" }, "e2", 2).unit);
  await refusal(db.store, [hint(mine, "c")]);
});

Deno.test("an envelope that waits for its next attempt holds back those behind it", async () => {
  const tree = await addTestTree(db);
  await db.commit([hint(tree, "second")]);
  const take = async (now: number) => {
    const taking = takeFirst({ address: tree.root_id, now });
    return (await db.commit([taking])).of(taking);
  };
  const [first] = await take(1);
  await db.commit([putBack({ id: first.id, due_at: 500, attempts: 1 })]);
  assert.deepEqual(await take(499), []);
  const [again] = await take(500);
  assert.deepEqual([again.id, again.attempts], [first.id, 2]);
});

Deno.test("a text with every kind of character and a large one come back as they were", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const texts = [
    "a",
    "ünï 😀 '\"; DROP TABLE trees; --",
    "\u0000\n",
    "x".repeat(MESSAGE_BYTES_MAX),
  ];
  for (const [at, text] of texts.entries()) await db.commit([hint(tree, `e${at}`, text)]);
  const rows = await db.store.read.selectFrom("envelopes").select("message_json")
    .where("id", "like", "e_").orderBy("seq").execute();
  const back = rows.map(({ message_json }) => JSON.parse(message_json).text as string);
  assert.deepEqual(back.map(({ length }) => length), texts.map(({ length }) => length));
  assert.ok(back.every((text, at) => text === texts[at]));
});

Deno.test("a text with a NUL is refused with its whole unit instead of being kept up to there", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db);
  const said = { id: "r", tree_id: tree.tree_id, task_id: tree.root_id, call_id: null };
  const review = addReview({ ...said, issue: "before\0after", blocking: false }, 1);
  const before = await everyRow(db.store, TABLES);
  const reason = await refusal(db.store, [note(tree, "n"), review]);
  assert.match(reason, /NUL character cannot be kept.*insert into "reviews"/);
  assert.equal(await everyRow(db.store, TABLES), before);
  await db.commit([addReview({ ...said, issue: "😀 half: \ud83d.", blocking: false }, 1)]);
  const rows = await db.store.read.selectFrom("reviews").select("issue").execute();
  assert.deepEqual(rows, [{ issue: "😀 half: \uFFFD." }]);
});

Deno.test("the reading connection cannot write", async () => {
  await addTestTree(db);
  const before = await everyRow(db.store, TABLES);
  await assert.rejects(db.store.read.deleteFrom("envelopes").execute());
  assert.equal(await everyRow(db.store, TABLES), before);
});

Deno.test("what was committed is there when the database is opened again", async () => {
  await using folder = await tempFolder();
  const url = `file:${folder.path}/troupe.db`;
  const first = await openStore(url);
  assert.equal(first.created, true);
  const entry = { id: "n", task_id: "T", tree_id: "R", type: "x", message_json: "{}", now: 1 };
  assert.ok((await first.commit([noteEntry({ ...entry, by: null })])).ok);
  await first.close();
  const schema = (store: Store) =>
    // deno-lint-ignore no-explicit-any -- a table of the database itself
    (store.read as any).selectFrom("sqlite_schema").select("sql").orderBy("name").execute();
  const second = await openStore(url);
  assert.equal(second.created, false);
  const before = await schema(second);
  assert.equal((await second.read.selectFrom("entries").select("id").execute())[0].id, "n");
  await second.close();
  const third = await openStore(url);
  assert.equal(third.created, false);
  assert.deepEqual(await schema(third), before);
  await third.close();
});

Deno.test("a store whose worker dies says so to whoever waits and to whoever comes later", async () => {
  await using db = await tempStore();
  const entry = { id: "n", task_id: "T", tree_id: "R", type: "x", message_json: "{}", now: 1 };
  const waiting = db.store.commit([noteEntry({ ...entry, by: null })]);
  db.store.crash();
  await assert.rejects(waiting, StoreError);
  await assert.rejects(db.store.commit([]), StoreError);
  assert.match(await db.store.gone ?? "", /ended/);
});

async function openingFails(path: string): Promise<string> {
  const error = await openStore(`file:${path}`).then(() => assert.fail("opened"), (error) => error);
  assert.ok(error instanceof StoreError, String(error));
  assert.ok(error.message.startsWith("Cannot open the database "), error.message);
  assert.ok(error.message.includes(path), error.message);
  return error.message;
}

Deno.test("a file that is no database is refused with its name and left as it is", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/troupe.db`;
  const text = "This is a letter, and no database. ".repeat(200);
  await Deno.writeTextFile(path, text);
  assert.match(await openingFails(path), /not a database/);
  assert.equal(await Deno.readTextFile(path), text);
});

Deno.test("a database that was cut in half is refused with its name", async () => {
  await using folder = await tempFolder();
  const [whole, path] = [`${folder.path}/whole.db`, `${folder.path}/troupe.db`];
  const store = await openStore(`file:${whole}`);
  await store.commit([plain("PRAGMA user_version")]);
  await store.close();
  const { default: Database } = await import("libsql");
  const db = new Database(whole);
  // Everything out of the write-ahead log and into the file.
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
  const bytes = await Deno.readFile(whole);
  assert.ok(bytes.length > 20_000, "the file is too short to be cut in half");
  await Deno.writeFile(path, bytes.slice(0, Math.floor(bytes.length / 2)));
  await openingFails(path);
});

Deno.test("a database of another program is refused with its name and left as it is", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/troupe.db`;
  const { default: Database } = await import("libsql");
  const theirs = new Database(path);
  theirs.exec("CREATE TABLE invoices (id INTEGER PRIMARY KEY); INSERT INTO invoices VALUES (7)");
  theirs.close();
  assert.match(await openingFails(path), /another program/);
  const after = new Database(path);
  const tables = after.prepare("SELECT name FROM sqlite_schema").all() as { name: string }[];
  after.close();
  assert.deepEqual(tables.map(({ name }) => name), ["invoices"]);
});

Deno.test("a database in a folder that does not exist is refused with its name", async () => {
  await using folder = await tempFolder();
  await openingFails(`${folder.path}/nowhere/troupe.db`);
});
