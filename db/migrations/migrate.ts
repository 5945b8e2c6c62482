/** Brings a database to the newest schema, and says which database it is. */
import { Migrator } from "kysely/migration";
import { kyselyOver } from "../dialect.ts";
import type { Engine } from "../engine.ts";
import { migrations } from "./mod.ts";
import { type Identity, identityOf } from "./newest.ts";

/** @throws {Error} when it is another program's, or a migration fails; then nothing of that one is done */
export async function migrate(engine: Engine): Promise<Identity> {
  // One look at the first page tells a database from a file of another kind.
  const tables = await engine.run("SELECT name FROM sqlite_schema WHERE type = 'table'", []);
  const known = tables.map(({ name }) => name);
  const ours = known.includes("entries") && known.includes("kysely_migration");
  // The migrator's own tables alone are a first migration that was cut off: it begins again.
  const others = known.filter((name) => !/^(kysely|sqlite)_/.test(String(name)));
  if (others.length > 0 && !ours) {
    throw new Error("it is a database of another program");
  }
  const db = kyselyOver((sql, parameters) => engine.run(sql, parameters), true);
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrations) },
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
  return { ...await identityOf(engine), created: !ours };
}
