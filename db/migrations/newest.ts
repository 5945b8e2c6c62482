/** Whether a database has every migration, seen without loading them: most starts find that it has. */
import type { Engine } from "../engine.ts";

/** The last one's name. */
export const NEWEST = "0010_sums";

/** A database, and how far it has come. */
export interface Identity {
  /** Whether it was empty before. */
  readonly created: boolean;
  readonly database_id: string;
  readonly stamp: number;
}

/** Null when something is left to migrate, or it is no database of ours. */
export async function upToDate(engine: Engine): Promise<Identity | null> {
  const migrated = "SELECT name FROM sqlite_schema WHERE name = 'kysely_migration'";
  if ((await engine.run(migrated, [])).length === 0) return null;
  const [{ newest }] = await engine.run("SELECT max(name) AS newest FROM kysely_migration", []);
  return newest === NEWEST ? await identityOf(engine) : null;
}

export async function identityOf(engine: Engine): Promise<Identity> {
  const [{ id, stamp }] = await engine.run("SELECT id, stamp FROM identity", []);
  return { created: false, database_id: String(id), stamp: Number(stamp) };
}
