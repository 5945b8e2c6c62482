/** The budget of time: a tree runs so long and no longer, whatever it is doing. */
import assert from "node:assert/strict";
import { timedTrees } from "../../db/trees.ts";
import type { Budget } from "../../runtime/core/protocol.ts";
import type { TestKernel } from "../support/kernel.ts";
import { AGENT, calls, end, finished, question, startAgents } from "../support/agents.ts";
import { HandClock } from "../support/clock.ts";
import { tempFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

const SECONDS = 3;
const SPENT = `The tree's budget is used up: it ran for ${SECONDS} s, its limit`;

async function begin(
  kernel: TestKernel,
  instruction: string,
  budget: Budget = { wall_seconds: SECONDS },
): Promise<string> {
  const { id } = await kernel.submit({ instruction, agent: AGENT, after_task: "none", budget });
  return id;
}

async function treeOf(kernel: TestKernel, id: string) {
  return await kernel.read.selectFrom("trees").selectAll().where("id", "=", id)
    .executeTakeFirstOrThrow();
}

async function statuses(kernel: TestKernel, tree_id: string): Promise<string[]> {
  const rows = await kernel.read.selectFrom("tasks").select("status")
    .where("tree_id", "=", tree_id).orderBy("depth").execute();
  return rows.map(({ status }) => status);
}

Deno.test("a tree whose agents never answer ends when its time is used up, with all its tasks", async () => {
  await using folder = await tempFolder();
  const clock = new HandClock();
  const kernel = await startAgents(folder.path, {
    wait: [calls(["start_subtask", { task_instruction: "deeper", agent_type: AGENT }])],
    deeper: [calls(["start_subtask", { task_instruction: "silent", agent_type: AGENT }])],
    silent: [{ never: true }],
  }, { clock });
  const [free, tree_id] = [await begin(kernel, "silent", {}), await begin(kernel, "wait")];
  await until("three tasks", async () => (await statuses(kernel, tree_id)).length === 3);
  clock.advance(SECONDS * 1000);
  await finished(kernel, tree_id);
  const { status, result, reason, started_at, ended_at } = await treeOf(kernel, tree_id);
  assert.deepEqual({ status, result, reason }, { status: "failed", result: null, reason: SPENT });
  assert.ok(ended_at! - started_at! >= SECONDS * 1000, `${ended_at! - started_at!} ms`);
  assert.deepEqual(await statuses(kernel, tree_id), ["failed", "cancelled", "cancelled"]);
  assert.equal((await treeOf(kernel, free)).status, "running");
  await until("the others' slot alone", () => kernel.load.running === 1);
  await kernel.stop();
});

Deno.test("a tree that waits for a person ends when its time is used up, and its question with it", async () => {
  await using folder = await tempFolder();
  const clock = new HandClock();
  const kernel = await startAgents(folder.path, {
    ask: [calls(["flag_for_review", { issue: "May I?", blocking: true }]), end],
  }, { clock });
  const tree_id = await begin(kernel, "ask");
  const { id } = await question(kernel, tree_id);
  await until("a waiting task", async () => (await statuses(kernel, tree_id))[0] === "waiting");
  clock.advance(SECONDS * 1000);
  await finished(kernel, tree_id);
  assert.equal((await treeOf(kernel, tree_id)).reason, SPENT);
  const review = await kernel.read.selectFrom("reviews").select("status")
    .where("id", "=", id).executeTakeFirstOrThrow();
  assert.equal(review.status, "withdrawn");
  await kernel.stop();
});

Deno.test("a tree's time is kept over a restart of the kernel", async () => {
  await using folder = await tempFolder();
  const script = { silent: [{ never: true as const }] };
  const clock = new HandClock();
  const first = await startAgents(folder.path, script, { clock });
  const tree_id = await begin(first, "silent");
  await until("its begin", async () => (await treeOf(first, tree_id)).status === "running");
  clock.advance(SECONDS * 1000 - 1);
  await first.stop();
  const second = await startAgents(folder.path, script, { clock });
  assert.equal((await treeOf(second, tree_id)).status, "running");
  clock.advance(1);
  await finished(second, tree_id);
  assert.equal((await treeOf(second, tree_id)).reason, SPENT);
  await second.stop();
});

Deno.test("a tree that is done before its time is used up is left alone", async () => {
  await using folder = await tempFolder();
  const clock = new HandClock();
  const script = { quick: [end], silent: [{ never: true as const }] };
  const kernel = await startAgents(folder.path, script, { clock });
  const quick = await begin(kernel, "quick");
  await finished(kernel, quick);
  const before = await treeOf(kernel, quick);
  assert.equal(before.status, "done");
  // One that begins later runs out later: by then the first one's time is over.
  const silent = await begin(kernel, "silent");
  await until("its begin", async () => (await treeOf(kernel, silent)).status === "running");
  clock.advance(SECONDS * 1000);
  await finished(kernel, silent);
  assert.deepEqual(await treeOf(kernel, quick), before);
  assert.deepEqual(await timedTrees(kernel.read, clock.now()), []);
  await kernel.stop();
});
