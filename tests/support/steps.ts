/** What statements cost, whatever else the machine does: the steps that the database took for them. */
import { CompiledQuery } from "kysely";
import type { Store } from "../../db/store.ts";
import type { Statement } from "../../db/unit.ts";

/** Of all statements that a connection keeps compiled; those that look are no work. */
const STEPS =
  "SELECT coalesce(sum(nstep), 0) AS steps FROM sqlite_stmt WHERE sql NOT LIKE '%sqlite_stmt%'";

/** Steps of the database's machine that both connections have taken so far: https://sqlite.org/stmt.html */
export async function stepsOf(store: Store): Promise<number> {
  const looking: Statement<{ steps: number }> = { sql: STEPS, parameters: [], returns: "one" };
  const written = await store.commit([looking]);
  if (!written.ok) throw new Error(written.reason);
  const read = await store.read.executeQuery<{ steps: number }>(CompiledQuery.raw(STEPS));
  return written.rows.of(looking)[0].steps + read.rows[0].steps;
}
