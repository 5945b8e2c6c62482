/** Rungs of the ladder for stuck tasks have names. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    // `stuck_rung` stays as it was: an older program may be put back.
    `ALTER TABLE actors ADD COLUMN rung TEXT NOT NULL DEFAULT 'none'`,
    `UPDATE actors SET rung_at = coalesce(nullif(rung_at, 0), stuck_at),
      rung = CASE WHEN stuck_rung = 2 THEN 'supervised' WHEN rung_at = 0 THEN 'called'
        ELSE 'reminded' END
      WHERE stuck_rung > 0 AND stuck_at IS NOT NULL AND status = 'live'`,
    `CREATE INDEX actors_on_ladder ON actors (address) WHERE status = 'live' AND rung <> 'none'`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
