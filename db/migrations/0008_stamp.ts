/** How far a database has come: one that is put back as it was before is known by it. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  await sql.raw(`ALTER TABLE identity ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0`).execute(db);
}
