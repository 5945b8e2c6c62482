import assert from "node:assert/strict";
import { noteEntry } from "../../db/entries.ts";
import { openStore, type Store, StoreError } from "../../db/store.ts";
import type { Statement } from "../../db/unit.ts";
import { type HranaServer, startHranaServer } from "../support/hrana_server.ts";
import { rows } from "../support/long.ts";
import { refusal } from "../support/store.ts";

const NOW = 1_767_225_600_123;

const plain = (sql: string, ...parameters: (string | number)[]): Statement => ({ sql, parameters });

const note = (id: string, tree_id = "R") =>
  noteEntry({
    id,
    task_id: "T",
    tree_id,
    type: "note",
    message_json: "{}",
    by: null,
    now: NOW,
  });

/** A store on a server, for the tests that write notes of a tree of their own. */
let db: { readonly server: HranaServer; readonly store: Store };

Deno.test.beforeAll(async () => {
  const server = await startHranaServer({ migrated: true });
  db = { server, store: await openStore(server.url) };
});

Deno.test.afterAll(async () => {
  await db.store.close();
  await db.server[Symbol.asyncDispose]();
});

async function ids({ read }: Store, tree_id = "R"): Promise<string[]> {
  const rows = await read.selectFrom("entries").select("id").where("tree_id", "=", tree_id)
    .orderBy("seq").execute();
  return rows.map(({ id }) => id);
}

async function openingFails(url: string): Promise<string> {
  const error = await openStore(url).then(() => assert.fail("opened"), (error) => error);
  assert.ok(error instanceof StoreError, String(error));
  assert.ok(error.message.startsWith("Cannot open the database "), error.message);
  return error.message;
}

Deno.test("a database on a server is migrated when it is opened first, and never again", async () => {
  await using server = await startHranaServer();
  const first = await openStore(server.url);
  assert.equal(first.created, true);
  assert.ok((await first.commit([note("n")])).ok);
  await first.close();
  const made = (sql: string) => /^\s*(create|insert|alter|drop)/i.test(sql);
  assert.ok(server.ran.some(made));
  server.ran.length = 0;
  const second = await openStore(server.url);
  assert.equal(second.created, false);
  assert.deepEqual(await ids(second), ["n"]);
  await second.close();
  assert.deepEqual(server.ran.filter(made), []);
  assert.equal(server.streams(), 0);
});

Deno.test("a migration on a server leaves none of its tables behind when it fails", async () => {
  await using server = await startHranaServer();
  server.failing = /^\s*CREATE TRIGGER/;
  assert.match(await openingFails(server.url), /The server fails/);
  assert.ok(server.ran.some((sql) => /CREATE TABLE entries/.test(sql)));
  assert.equal(server.streams(), 0);
  assert.deepEqual(server.tables().filter((name) => !name.startsWith("kysely_")), []);
});

Deno.test("a unit on a server takes effect as a whole or not at all, wherever it fails", async () => {
  const good = [note("a", "whole"), note("b", "whole")];
  for (const bad of [plain("INSERT INTO nowhere VALUES (1)"), note("a", "whole")]) {
    for (let at = bad.sql.includes("nowhere") ? 0 : 1; at <= good.length; at++) {
      await refusal(db.store, good.toSpliced(at, 0, bad));
      assert.deepEqual(await ids(db.store, "whole"), [], `failing at ${at}`);
    }
  }
  assert.ok((await db.store.commit(good)).ok);
  assert.deepEqual(await ids(db.store, "whole"), ["a", "b"]);
});

Deno.test("a refused unit on a server leaves the others of its group untouched", async () => {
  db.server.ran.length = 0;
  const results = await Promise.all(
    Array.from(
      { length: 6 },
      (_, at) =>
        db.store.commit(
          at % 3 === 1 ? [note(`n${at}`, "group"), note("n0", "group")] : [note(`n${at}`, "group")],
        ),
    ),
  );
  assert.deepEqual(results.map(({ ok }) => ok), [true, false, true, true, false, true]);
  assert.deepEqual(await ids(db.store, "group"), ["n0", "n2", "n3", "n5"]);
  assert.equal(db.server.ran.filter((sql) => sql === "COMMIT").length, 1);
  assert.equal(db.server.streams(), 0);
});

Deno.test("a unit on a server is refused with the words of its guard when it touches too few or too many", async () => {
  await db.store.commit([
    plain("CREATE TABLE pairs (n INTEGER) STRICT"),
    plain("INSERT INTO pairs VALUES (1), (2)"),
  ]);
  const guarded = (sql: string, expect: "one" | "some", returns: boolean): Statement => ({
    ...plain(sql + (returns ? " RETURNING n" : "")),
    expect,
    returns: returns ? "all" : undefined,
    refusal: "Not these",
  });
  for (const returns of [false, true]) {
    for (
      const [sql, expect] of [
        ["DELETE FROM pairs WHERE n = 3", "one"],
        ["DELETE FROM pairs WHERE n = 3", "some"],
        ["UPDATE pairs SET n = n + 5", "one"],
      ] as const
    ) {
      const unit = [plain("INSERT INTO pairs VALUES (9)"), guarded(sql, expect, returns)];
      assert.deepEqual(
        await db.store.commit(unit),
        { ok: false, refused: true, reason: "Not these" },
      );
    }
  }
  const [gone, kept] = [
    guarded("DELETE FROM pairs WHERE n = 1", "one", false),
    guarded("UPDATE pairs SET n = n + 5", "some", true),
  ];
  const last = await db.store.commit([gone, kept]);
  assert.ok(last.ok);
  assert.deepEqual([last.rows.of(gone), last.rows.of(kept)], [[], [{ n: 7 }]]);
});

Deno.test("rows of a server come back with numbers as numbers and texts as they were", async () => {
  const text = "ünï 😀 '\"; --\n";
  const select: Statement = {
    ...plain(
      "SELECT 5 AS five, 0.5 AS half, NULL AS nil, ? AS text, ? AS given",
      text,
      NOW,
    ),
    returns: "all",
  };
  const result = await db.store.commit([select]);
  const row = { five: 5, half: 0.5, nil: null, text, given: NOW };
  assert.ok(result.ok);
  assert.deepEqual(result.rows.of(select), [row]);
  await db.store.commit([note("n")]);
  const read = await db.store.read.selectFrom("entries").select(["id", "created_at", "received"])
    .where("id", "=", "n").executeTakeFirstOrThrow();
  assert.deepEqual(read, { id: "n", created_at: NOW, received: 0 });
});

Deno.test("a server is reached with its token and under libsql: without TLS", async () => {
  await using server = await startHranaServer({ token: "s3cret", migrated: true });
  for (const scheme of ["http", "libsql"]) {
    const store = await openStore(`${scheme}://${server.host}?tls=0&authToken=s3cret`);
    assert.ok((await store.commit([note(scheme)])).ok);
    await store.close();
  }
  const message = await openingFails(`${server.url}?authToken=wr0ng`);
  assert.match(message, /401/);
  assert.ok(!message.includes("wr0ng"), message);
});

Deno.test("a server that is not there is refused with its address and without its token", async () => {
  const server = await startHranaServer();
  await server[Symbol.asyncDispose]();
  for (
    const token of [
      ...rows(["authToken=x&authToken=s3cret", "authToken=s3cret"]),
      "authtoken=s3cret",
    ]
  ) {
    const message = await openingFails(`${server.url}?${token}`);
    assert.ok(message.startsWith(`Cannot open the database ${server.url}?`), message);
    if (token.startsWith("authToken")) assert.match(message, /refused/);
    assert.ok(!message.includes("s3cret"), message);
  }
});

Deno.test("an address that is none is refused without its token", async () => {
  for (const url of ["libsql://?authToken=s3cret", "http://127.0.0.1:99999?authToken=s3cret"]) {
    assert.ok(!(await openingFails(url)).includes("s3cret"));
  }
});
