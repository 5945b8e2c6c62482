/** The one row by which it is seen whether the database still takes a write. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    `CREATE TABLE liveness (id INTEGER PRIMARY KEY CHECK (id = 1), written_at INTEGER NOT NULL) STRICT`,
    `INSERT INTO liveness (id, written_at) VALUES (1, 0)`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
