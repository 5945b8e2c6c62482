/** A real database in a folder of its own, with a tree to write about. */
import assert from "node:assert/strict";
import { openStore, type Store } from "../../db/store.ts";
import { Rows, type Unit } from "../../db/unit.ts";
import { begin } from "../../runtime/commands/begin.ts";
import { PERSON, type VerbOf } from "../../runtime/core/command.ts";
import { type Clock, ulids } from "../../runtime/ports.ts";
import { newDatabase } from "./database.ts";
import { tempFolder } from "./folder.ts";

export interface TempStore extends AsyncDisposable {
  readonly store: Store;
  /** Of the database, as `openStore` takes it. */
  readonly url: string;
  readonly folder: string;
  /** Commits a unit that must succeed; gives what its statements gave back. */
  commit(unit: Unit): Promise<Rows>;
}

/** An empty database, or one with the seeds. */
export async function tempStore({ seeded = false } = {}): Promise<TempStore> {
  const folder = await tempFolder();
  const path = `${folder.path}/troupe.db`;
  await newDatabase(path, seeded ? "seeded" : "empty");
  const url = `file:${path}`;
  const store = await openStore(url);
  const commit = async (unit: Unit) => {
    const result = await store.commit(unit);
    assert.ok(result.ok, result.ok ? "" : result.reason);
    return result.rows;
  };
  return {
    store,
    url,
    folder: folder.path,
    commit,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** The first millisecond of 1970, in which nothing waits. */
const AT_ONE: Clock = { now: () => 1, after: () => () => {} };

/** Begins a tree with its root task and first envelope; the database must be seeded. */
export async function addTestTree(
  { store, commit }: TempStore,
  request: Partial<VerbOf<"begin">> = {},
): Promise<{ tree_id: string; root_id: string }> {
  const asked = { instruction: "Compute 1 + 1", agent: "generalist", ...request };
  const reading = { read: store.read, ids: ulids, clock: AT_ONE, timeout_seconds: 60 };
  const work = await begin(reading, { verb: "begin", ...asked }, PERSON);
  await commit(work.unit);
  const { tree_id } = work.answer;
  return { tree_id, root_id: work.concerned(new Rows([], [])).wake![0].address };
}

/** Whether a unit was refused, and why. */
export async function refusal(store: Store, unit: Unit): Promise<string> {
  const result = await store.commit(unit);
  assert.ok(!result.ok, "the unit was committed");
  return result.reason;
}

/** Every row of some tables, to compare before and after. */
export async function everyRow(
  store: Store,
  tables: readonly (
    "trees" | "tasks" | "actors" | "entries" | "envelopes" | "outbox"
  )[],
): Promise<string> {
  const rows = await Promise.all(
    tables.map((table) => store.read.selectFrom(table).selectAll().execute()),
  );
  return JSON.stringify(rows);
}
