/** Written tools with their manifests, approvals, and mailboxes that name the type of a message. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    // Built anew: without AUTOINCREMENT, which costs every step a second table. Numbers are reused
    // once a mailbox is empty, and only the order of those that are there counts.
    `CREATE TABLE envelopes_2 (
      seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tree_id TEXT NOT NULL,
      to_address TEXT NOT NULL, from_address TEXT NOT NULL, type TEXT NOT NULL,
      message_json TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
      due_at INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL) STRICT`,
    `INSERT INTO envelopes_2
      SELECT seq, id, tree_id, to_address, from_address, json_extract(message_json, '$.type'),
        message_json, attempts, due_at, created_at FROM envelopes`,
    `DROP TABLE envelopes`,
    `ALTER TABLE envelopes_2 RENAME TO envelopes`,
    `CREATE INDEX envelopes_by_address ON envelopes (to_address, seq)`,
    `DROP INDEX entries_by_tree`,
    `DROP INDEX outbox_open`,
    `CREATE INDEX outbox_open ON outbox (address)
      WHERE status IN ('pending', 'started', 'waiting')`,
    `ALTER TABLE tools ADD COLUMN permissions_json TEXT`,
    `ALTER TABLE tools ADD COLUMN tests_json TEXT`,
    `ALTER TABLE tools ADD COLUMN tree_id TEXT`,
    `ALTER TABLE task_tools ADD COLUMN version INTEGER`,
    `ALTER TABLE reviews ADD COLUMN effect_key TEXT`,
    `ALTER TABLE reviews ADD COLUMN detail TEXT`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
