/** Database files that begin migrated, and seeded if wanted: what that costs is paid once a test file. */
import assert from "node:assert/strict";
import { seeding } from "../../db/seeding.ts";
import { openStore, type Store } from "../../db/store.ts";
import { readSeeds } from "../../seeds/mod.ts";
import { tempFolder } from "./folder.ts";

export type Content = "empty" | "seeded";

/** The bytes of a database file, of which each new one is a copy. */
const made: Partial<Record<Content, Promise<Uint8Array>>> = {};

/** Writes a database file with this content, unless one is there; all of one content share one identity. */
export async function newDatabase(path: string, content: Content): Promise<void> {
  const bytes = await (made[content] ??= make(content));
  await Deno.writeFile(path, bytes, { createNew: true }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
}

async function make(content: Content): Promise<Uint8Array> {
  await using folder = await tempFolder();
  const path = `${folder.path}/made.db`;
  const store = await openStore(`file:${path}`);
  if (content === "seeded") await seed(store);
  await store.close();
  return await Deno.readFile(path);
}

/** What a first start writes, in the first millisecond of 1970. */
async function seed(store: Store): Promise<void> {
  const result = await store.commit(
    (await seeding(store.read, await readSeeds(), false, 1)).unit,
  );
  assert.ok(result.ok, result.ok ? "" : result.reason);
}
