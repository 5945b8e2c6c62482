/** An outcome that cannot be committed ends its effect: nothing of it goes on behind anybody's back. */
import assert from "node:assert/strict";
import type { UnitResult } from "../../db/unit.ts";
import { ATTEMPTS_MAX } from "../../runtime/core/limits.ts";
import type { Effect } from "../../runtime/core/protocol.ts";
import { followers } from "../../runtime/tools/children.ts";
import { call } from "../support/messages_server.ts";
import { playedLoop } from "../support/played_loop.ts";
import { addTestTree, tempStore } from "../support/store.ts";
import { end, talk } from "../support/talk.ts";
import { until } from "../support/until.ts";

const CHILD: Effect = {
  type: "start_child",
  agent: "task_evaluator",
  purpose: "evaluation",
  instruction: "Evaluate",
};

/** How the store answers whoever wants to begin a child, and how often that is tried. */
const REFUSALS: [what: string, answer: UnitResult, attempts: number, tried: number][] = [
  [
    "that a rule of the database refuses",
    { ok: false, refused: true, reason: "UNIQUE constraint failed: tasks.call_id" },
    0,
    1,
  ],
  [
    "whose commit fails and fails",
    { ok: false, refused: false, reason: "no such binding" },
    ATTEMPTS_MAX,
    ATTEMPTS_MAX,
  ],
];

for (const [what, refusal, attempts, tried] of REFUSALS) {
  Deno.test(`a child's begin ${what} does not go on four times a second: its effect ends, counted`, async () => {
    await using db = await tempStore({ seeded: true });
    const { tree_id, root_id } = await addTestTree(db);
    let [performed, begins] = [0, 0];
    const start = followers({ read: db.store.read });
    const loop = playedLoop(db, {
      start_child: (...asked) => {
        performed++;
        return start(...asked);
      },
    }, {
      commit: (unit) => {
        if (!unit.some(({ sql }) => sql.includes('into "tasks"'))) return db.store.commit(unit);
        begins++;
        return Promise.resolve(refusal);
      },
    });
    loop.scheduler.wake({ address: root_id, tree_id, priority: 5, urgent: false });
    await loop.until("its first envelope", () => loop.cells.handed.length === 1);
    loop.cells.answer(loop.cells.handed[0], [CHILD]);
    const { message } = await loop.until("what it is told", () => loop.cells.handed.at(1));
    const told = JSON.parse(message);
    assert.equal(told.type, "child.ended");
    assert.ok(String(told.reason).includes(refusal.ok ? "" : refusal.reason), told.reason);
    loop.cells.answer(loop.cells.handed[1]);
    await loop.until("its rest", () => loop.scheduler.load.running === 0);
    let looks = 0;
    await loop.until("looks for work that nobody does", () => looks++ > 8);
    assert.deepEqual([performed, begins], [1, tried]);
    const effects = await db.store.read.selectFrom("outbox").select(["status", "attempts"])
      .execute();
    assert.deepEqual(effects, [{ status: "done", attempts }]);
    assert.equal(loop.cells.handed.length, 2);
    await loop.stop();
  });
}

Deno.test("a tool_use id that a model repeats, within a turn and in the next, begins a child for each call", async () => {
  const child = (task_instruction: string) =>
    call("the_same", "start_subtask", { agent_type: "generalist", task_instruction });
  const begun = () =>
    one.kernel.read.selectFrom("tasks").select("instruction").orderBy("instruction").execute();
  await using one = await talk(async ({ task, turn }) => {
    if (task !== "parent") return end(task);
    if (turn === 0) return [child("one"), child("two")];
    if (turn === 1) return [child("three")];
    await until("a task for each call", async () => (await begun()).length === 4);
    return end("over");
  });
  const { id, status, result } = await one.run("parent");
  assert.deepEqual([status, result], ["done", "over"]);
  const effects = await one.kernel.read.selectFrom("outbox").select(["status", "attempts"])
    .where("tree_id", "=", id).execute();
  for (const effect of effects) {
    assert.ok(["done", "dropped"].includes(effect.status), JSON.stringify(effects));
    assert.equal(effect.attempts, 0);
  }
  const tasks = (await begun()).map(({ instruction }) => instruction);
  assert.deepEqual(tasks, ["one", "parent", "three", "two"]);
});
