/** What a migration makes of rows that were written before it. */
import assert from "node:assert/strict";
import { kyselyOver } from "../../db/dialect.ts";
import { openLocal } from "../../db/engine.ts";
import { migrate } from "../../db/migrations/migrate.ts";
import { migrations } from "../../db/migrations/mod.ts";
import { NEWEST, upToDate } from "../../db/migrations/newest.ts";

Deno.test("a database that has every migration is known without loading them, and no other", async () => {
  assert.equal(NEWEST, Object.keys(migrations).sort().at(-1));
  const engine = await openLocal(":memory:", false);
  assert.equal(await upToDate(engine), null);
  const { created, ...made } = await migrate(engine);
  assert.equal(created, true);
  assert.deepEqual(await upToDate(engine), { created: false, ...made });
  await engine.run("DELETE FROM kysely_migration WHERE name = ?", [NEWEST]);
  assert.equal(await upToDate(engine), null);
  engine.close();
});

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

Deno.test("a tree whose tasks had used something before trees knew it has all of it, and adds what follows", async () => {
  const engine = await openLocal(":memory:", false);
  const db = kyselyOver((sql, parameters) => engine.run(sql, parameters), true);
  const sums = "0010_sums";
  for (const name of Object.keys(migrations).filter((name) => name < sums).sort()) {
    await migrations[name].up(db);
  }
  await engine.run(
    `INSERT INTO trees (id, root_id, instruction, status, mode, priority, after_task, budget_json,
      timeout_seconds, created_at) VALUES ('t', 'a', '', 'running', 'automatic', 5, 'all', '{}', 1, 1)`,
    [],
  );
  for (const [id, model] of [["a", "one"], ["b", "two"], ["c", null]]) {
    await engine.run(
      `INSERT INTO tasks (id, tree_id, purpose, agent, agent_version, instruction, depth, status, model,
          input_tokens, cost_nano, timeout_seconds, created_at)
        VALUES (?, 't', 'subtask', 'x', 1, '', 0, 'running', ?, 5, 7, 1, 1)`,
      [id, model],
    );
  }
  await migrations[sums].up(db);
  await engine.run(
    `UPDATE tasks SET input_tokens = 6, cost_nano = 9, model = 'one' WHERE id = 'c'`,
    [],
  );
  const [{ input_tokens, cost_nano, output_tokens, model }] = await engine.run(
    "SELECT * FROM trees",
    [],
  );
  assert.deepEqual([input_tokens, cost_nano, output_tokens, model], [16, 23, 0, "two"]);
  engine.close();
});
