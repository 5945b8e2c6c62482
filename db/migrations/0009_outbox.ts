/** An actor is held until its effects are over, whichever they are: what an effect holds is said nowhere. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  await sql.raw(`ALTER TABLE outbox DROP COLUMN holds`).execute(db);
}
