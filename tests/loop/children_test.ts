/** Tasks that begin many children: each is begun once, and the last of them costs what the first does. */
import assert from "node:assert/strict";
import { CompiledQuery } from "kysely";
import { kyselyOver } from "../../db/dialect.ts";
import type { Schema } from "../../db/schema.ts";
import type { Store } from "../../db/store.ts";
import type { Row, SqlValue } from "../../db/unit.ts";
import { shownTree } from "../../db/trees.ts";
import { taskMarks } from "../../db/task_views.ts";
import { accountOf, reserve } from "../../db/reservations.ts";
import { addEffect } from "../../db/outbox.ts";
import { endTask } from "../../db/endings.ts";
import { chargeFor } from "../../runtime/commands/account.ts";
import type { Performers } from "../../runtime/commands/outcome.ts";
import { PAGE_ROWS_MAX } from "../../runtime/core/limits.ts";
import { NO_USAGE } from "../../runtime/core/model/messages.ts";
import type { Effect } from "../../runtime/core/protocol.ts";
import type { Runnable } from "../../runtime/core/schedule.ts";
import { EffectOutbox } from "../../runtime/outbox/outbox.ts";
import { systemClock, ulids } from "../../runtime/ports.ts";
import { children } from "../../runtime/tools/children.ts";
import { AGENT, begin, calls, end, finished, startAgents } from "../support/agents.ts";
import { tempFolder } from "../support/folder.ts";
import { stepsOf } from "../support/steps.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";
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

const WHATS = ["begun", "asked", "ended", "shown"] as const;

/** Steps of the database for one child, by what is done. */
type Costs = Record<typeof WHATS[number], number>;

/**
 * Begins a child as a model's call does, asks its model once, ends it, and shows its tree.
 * @param look counts the steps so far
 */
async function live(
  db: TempStore,
  { tree_id, root_id }: { tree_id: string; root_id: string },
  name: string,
  look: () => Promise<number>,
): Promise<Costs> {
  const { store } = db;
  const effect: Effect = {
    ...{ type: "call_tool", call_id: name, name: "start_subtask" },
    input: { task_instruction: name, agent_type: "generalist" },
  };
  const key = `${name}/00`;
  await db.commit([
    addEffect({ key, tree_id, address: root_id, effect_json: JSON.stringify(effect), now: 1 }),
  ]);
  const reading = { read: store.read, clock: systemClock, ids: ulids, timeout_seconds: 60 };
  const born: string[] = [];
  const loop = {
    wake: (one: Runnable) => born.push(one.address),
    drop: () => {},
    expect: () => {},
  };
  const ports = { ...reading, store, news: { publish: () => {} }, loop, log: () => {} };
  // No other performer is asked here.
  const performers = { tools: { child: children(reading) } } as unknown as Performers;
  const runnable = { address: root_id, tree_id, priority: 5, urgent: false };
  const due = { key, address: root_id, tree_id, effect, status: "pending", attempts: 0 } as const;
  const at = [await look()];
  const done = async () => void at.push(await look());

  await new EffectOutbox(ports, performers).perform(due, runnable);
  await done();
  const [task_id] = born;
  await accountOf(store.read, tree_id, name);
  const maxima = { tokens_max: 1_000_000, cost_nano_max: 1_000_000 };
  await db.commit([
    reserve({ key: name, tree_id, tokens: 10, cost_nano: 10, ...maxima, now: 1 }),
  ]);
  const used = { model: "test", usage: { ...NO_USAGE, output_tokens: 1 }, cost_nano: 1 };
  await db.commit(chargeFor({ key: name, task_id }, used));
  await done();
  const ending = { status: "done", result: "over" } as const;
  await db.commit(endTask(task_id, ending, ulids.next(), 1).unit);
  await done();
  await shownTree(store.read, tree_id);
  await taskMarks(store.read, tree_id);
  await done();
  const [begun, asked, ended, shown] = at.slice(1).map((steps, i) => steps - at[i]);
  return { begun, asked, ended, shown };
}

Deno.test("the five-hundredth child costs the database what the first one does, from its call to its end", async () => {
  await using db = await tempStore({ seeded: true });
  const tree = await addTestTree(db, { budget: { tasks: 1_000 } });
  const emptied = {
    sql: "DELETE FROM envelopes WHERE to_address = ?",
    parameters: [tree.root_id],
  };
  let children = 0;
  /** Some at once, whose costs nobody counts. */
  const further = async (upto: number) => {
    const some = Array.from({ length: upto - children }, () => `child ${children++}`);
    await Promise.all(some.map((name) => live(db, tree, name, () => Promise.resolve(0))));
  };
  /** The most that one of a few costs, each alone. */
  const counted = async () => {
    const most: Costs = { begun: 0, asked: 0, ended: 0, shown: 0 };
    for (let few = 0; few < 5; few++) {
      // What their parent was told it has taken: its mailbox is as empty for each.
      await db.commit([emptied]);
      const costs = await live(db, tree, `child ${children++}`, () => stepsOf(db.store));
      for (const what of WHATS) most[what] = Math.max(most[what], costs[what]);
    }
    return most;
  };
  const first = await counted();
  await further(PAGE_ROWS_MAX);
  const whole_page = await counted();
  await further(495);
  const last = await counted();
  // A page shows so many tasks at the most: from there on one more costs it nothing.
  const before = { ...first, shown: whole_page.shown };
  for (const what of WHATS) {
    const said = `${what}: ${before[what]} steps at first, ${last[what]} at last`;
    assert.ok(last[what] <= 1.1 * before[what], said);
  }
  const { tasks_begun, output_tokens } = await db.store.read.selectFrom("trees").selectAll()
    .executeTakeFirstOrThrow();
  assert.deepEqual([tasks_begun, output_tokens], [501, 500]);
});
