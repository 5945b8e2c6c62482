/** What a person allows is done at once, whatever else the task is having done at that moment. */
import assert from "node:assert/strict";
import { attachTool } from "../../db/definitions.ts";
import { enqueue } from "../../db/envelopes.ts";
import { answer, type ToolPerformer } from "../../runtime/commands/outcome.ts";
import { PERSON } from "../../runtime/core/command.ts";
import type { Effect } from "../../runtime/core/protocol.ts";
import { approval } from "../../runtime/tools/approval.ts";
import { playedLoop } from "../support/played_loop.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

const commandOf = (call_id: string): Effect => ({
  type: "call_tool",
  call_id,
  name: "use_terminal",
  input: { command: call_id },
});

/** A task that has two commands run in one turn: one takes long, the other a person has to allow first. */
async function turn(db: TempStore) {
  const tree = await addTestTree(db);
  const { tree_id, root_id } = tree;
  await db.commit([attachTool(root_id, "use_terminal", null, 1)]);
  const over = Promise.withResolvers<void>();
  const [begun, ended]: [string[], string[]] = [[], []];
  const terminal: ToolPerformer = {
    allow: async (call) => {
      if (call.call_id === "long") return null;
      return await approval(db.store.read, call, () => Promise.resolve({ issue: "?", detail: "" }));
    },
    perform: async ({ call_id }) => {
      begun.push(call_id);
      if (call_id === "long") await over.promise;
      ended.push(call_id);
      return { type: "replied", reply: answer(call_id, { content: "done" }) };
    },
  };
  // Nothing else is called.
  const loop = playedLoop(db, { tools: { terminal } as never });
  loop.scheduler.wake({ address: root_id, tree_id, priority: 5, urgent: false });
  await until("its first envelope", () => loop.cells.handed.length === 1);
  loop.cells.answer(loop.cells.handed[0], [commandOf("long"), commandOf("asks")]);
  const { id: review_id } = await until(
    "a question beside a call that runs",
    async () =>
      begun.includes("long") &&
      await db.store.read.selectFrom("reviews").select("id").executeTakeFirst(),
  );
  return { ...tree, ...{ loop, over, begun, ended, review_id } };
}

const heldOf = (db: TempStore) =>
  db.store.read.selectFrom("outbox").select("status").orderBy("key").execute();

Deno.test("an approval acts at once although another call of the same turn still runs", async () => {
  await using db = await tempStore({ seeded: true });
  const { loop, over, begun, ended, review_id } = await turn(db);
  assert.deepEqual(begun, ["long"]);
  assert.deepEqual(await heldOf(db), [{ status: "started" }, { status: "waiting" }]);
  const now = loop.clock.now();
  const decision = { review_id, decision: "approved", comment: "" } as const;
  await loop.dispatch({ verb: "decide", ...decision }, PERSON);
  await until("what was allowed", () => ended.includes("asks"));
  assert.equal(loop.clock.now(), now, "nothing waited for the clock");
  assert.deepEqual(begun, ["long", "asks"]);
  assert.deepEqual(ended, ["asks"]);

  over.resolve();
  await until("both answers", () => ended.length === 2);
  await until("no open effect", async () => {
    return (await heldOf(db)).every(({ status }) => status === "done");
  });
  assert.deepEqual(begun, ["long", "asks"], "each is made once");
  await loop.stop();
});

Deno.test("a refusal is told at once although another call of the same turn still runs", async () => {
  await using db = await tempStore({ seeded: true });
  const { loop, over, ended, begun, review_id } = await turn(db);
  const now = loop.clock.now();
  const decision = { review_id, decision: "rejected", comment: "not this" } as const;
  await loop.dispatch({ verb: "decide", ...decision }, PERSON);
  const { message } = await until("the answer", () => loop.cells.handed.at(1));
  assert.equal(loop.clock.now(), now);
  assert.match(JSON.parse(message).content, /A person did not allow it: not this/);
  assert.deepEqual([begun, ended], [["long"], []]);
  over.resolve();
  await until("the other's end", () => ended.length === 1);
  await loop.stop();
});

Deno.test("an approval that comes while the actor takes a step acts when the step is settled", async () => {
  await using db = await tempStore({ seeded: true });
  const { loop, over, ended, review_id, tree_id, root_id } = await turn(db);
  const hint = { id: "hint", tree_id, to: root_id, from: "person", message: { type: "hint" } };
  await db.commit([enqueue(hint, 1)]);
  loop.scheduler.wake({ address: root_id, tree_id, priority: 5, urgent: false });
  await until("its step", () => loop.cells.handed.length === 2);
  const now = loop.clock.now();
  const decision = { review_id, decision: "approved", comment: "" } as const;
  await loop.dispatch({ verb: "decide", ...decision }, PERSON);
  loop.cells.answer(loop.cells.handed[1]);
  await until("what was allowed", () => ended.includes("asks"));
  assert.equal(loop.clock.now(), now);
  over.resolve();
  await until("the other's end", () => ended.length === 2);
  await loop.stop();
});
