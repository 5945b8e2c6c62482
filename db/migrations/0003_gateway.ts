/** What model calls cost, what is reserved for those under way, and pictures of conversations. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    `ALTER TABLE tasks ADD COLUMN cache_read_tokens INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE tasks ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE tasks ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE tasks ADD COLUMN unpriced_calls INTEGER NOT NULL DEFAULT 0`,
    // What real models answered before prices were known has no price.
    `UPDATE tasks SET unpriced_calls = 1 WHERE model IS NOT NULL AND model <> 'offline'`,
    `CREATE TABLE reservations (
      key TEXT PRIMARY KEY, tree_id TEXT NOT NULL REFERENCES trees (id), tokens INTEGER NOT NULL,
      cost_nano INTEGER NOT NULL, lost INTEGER NOT NULL DEFAULT 0,
      created_at INTEGER NOT NULL) STRICT`,
    `CREATE INDEX reservations_by_tree ON reservations (tree_id)`,
    `CREATE TABLE media (
      hash TEXT PRIMARY KEY, media_type TEXT NOT NULL, base64 TEXT NOT NULL,
      created_at INTEGER NOT NULL) STRICT`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
