/** What a migration makes of rows that were written before it. */
import assert from "node:assert/strict";
import { kyselyOver } from "../../db/dialect.ts";
import { openLocal } from "../../db/engine.ts";
import { migrations } from "../../db/migrations/mod.ts";

Deno.test("a task that stood on a numbered rung stands on the one of its name", async () => {
  const engine = await openLocal(":memory:", false);
  const db = kyselyOver((sql, parameters) => engine.run(sql, parameters), true);
  for (const name of Object.keys(migrations).filter((name) => name < "0004").sort()) {
    await migrations[name].up(db);
  }
  await engine.run(
    `INSERT INTO trees (id, root_id, instruction, status, mode, priority, after_task, budget_json,
      timeout_seconds, created_at) VALUES ('t', 'none', '', 'running', 'automatic', 5, 'all', '{}', 1, 1)`,
    [],
  );
  const actor = async (address: string, status: string, rung: number, at: number | null) => {
    await engine.run(
      `INSERT INTO actors (address, tree_id, kind, status, progress_at, stuck_rung, rung_at, stuck_at)
        VALUES (?, 't', 'agent', ?, 1, ?, ?, ?)`,
      [address, status, rung, at, rung === 0 ? null : 3],
    );
  };
  await actor("none", "live", 0, null);
  await actor("reminded", "live", 1, 5);
  await actor("called", "live", 1, 0);
  await actor("supervised", "live", 2, 7);
  await actor("stopped", "stopped", 2, 7);
  await migrations["0004_ladder"].up(db);
  const rows = await engine.run("SELECT address, rung, rung_at, stuck_at FROM actors", []);
  assert.deepEqual(rows.map((row) => ({ ...row })), [
    { address: "none", rung: "none", rung_at: null, stuck_at: null },
    { address: "reminded", rung: "reminded", rung_at: 5, stuck_at: 3 },
    { address: "called", rung: "called", rung_at: 3, stuck_at: 3 },
    { address: "supervised", rung: "supervised", rung_at: 7, stuck_at: 3 },
    { address: "stopped", rung: "none", rung_at: 7, stuck_at: 3 },
  ]);
  engine.close();
});
