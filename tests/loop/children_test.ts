/** Tasks that begin many children: each is begun once, and the last of them costs what the first does. */
import assert from "node:assert/strict";
import { CompiledQuery } from "kysely";
import { kyselyOver } from "../../db/dialect.ts";
import type { Schema } from "../../db/schema.ts";
import type { Store } from "../../db/store.ts";
import type { Row, SqlValue } from "../../db/unit.ts";
import { AGENT, begin, calls, end, finished, startAgents } from "../support/agents.ts";
import { tempFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

const child = (task_instruction: string): [string, Record<string, unknown>] => [
  "start_subtask",
  { task_instruction, agent_type: AGENT },
];

/** The store with reads that go through `read` first. */
function reading(store: Store, read: (sql: string) => Promise<void>): Store {
  const run = async (sql: string, parameters: readonly SqlValue[]) => {
    await read(sql);
    return (await store.read.executeQuery<Row>(CompiledQuery.raw(sql, [...parameters]))).rows;
  };
  return { ...store, read: kyselyOver<Schema>(run, false) };
}

Deno.test("a task whose children are being begun is not called again meanwhile, and each is begun once", async () => {
  await using folder = await tempFolder();
  const opening = Promise.withResolvers<void>();
  let [beginning, looks] = [0, 0];
  const kernel = await startAgents(folder.path, {
    parent: [calls(...["one", "two", "three", "four"].map(child)), end],
    "one|two|three|four": [end],
  }, {
    between: (store) =>
      reading(store, async (sql) => {
        if (sql.includes(`from "timers"`)) looks++;
        // What only the beginning of a child reads.
        if (!sql.includes(`recursive "above"`)) return;
        beginning++;
        await opening.promise;
      }),
  });
  try {
    const tree_id = await begin(kernel, "parent");
    await until("four children that are being begun", () => beginning === 4);
    const before = looks;
    await until("looks for work that nobody does", () => looks > before + 4);
    assert.equal(beginning, 4);
    opening.resolve();
    await finished(kernel, tree_id);
    assert.equal(beginning, 4);
    const tasks = await kernel.read.selectFrom("tasks").select("id").where("tree_id", "=", tree_id)
      .execute();
    assert.equal(tasks.length, 5);
  } finally {
    opening.resolve();
    await kernel.stop();
  }
});
