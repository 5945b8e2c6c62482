/** What tells one database from another, and indexes by which old rows are found and cleared away. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    `CREATE TABLE identity (id TEXT NOT NULL) STRICT`,
    `INSERT INTO identity VALUES (lower(hex(randomblob(16))))`,
    `CREATE INDEX outbox_closed ON outbox (done_at) WHERE done_at IS NOT NULL`,
    `CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)`,
    `CREATE INDEX reviews_by_age ON reviews (created_at)`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
