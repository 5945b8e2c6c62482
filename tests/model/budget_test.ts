/** Budgets: set aside before a call, settled after it, and never exceeded in between. */
import assert from "node:assert/strict";
import { accountOf, loseReservation, release, reserve } from "../../db/reservations.ts";
import { NANO } from "../../runtime/core/model/budget.ts";
import type { ModelTable } from "../../runtime/core/model/facts.ts";
import type { Budget } from "../../runtime/core/protocol.ts";
import type { TestKernel } from "../support/kernel.ts";
import { finished, ownAgent } from "../support/agents.ts";
import { call, events, stream } from "../support/messages_server.ts";
import { end } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";
import { until } from "../support/until.ts";

/** A token in costs 3, out 15 millionths of a dollar. */
const PRICE = { input: 3_000, cache_write: 3_750, cache_read: 300, output: 15_000, web_search: 0 };
const MODELS: ModelTable = new Map([
  ["the-default-one", { context_tokens: 200_000, output_tokens: 2_000, web: false, price: PRICE }],
]);

/** The model of `unpriced` has no price. */
const talk = talksInTurn({
  models: MODELS,
  slots: 60,
  onOpen: async ({ commit }) => void await commit([ownAgent("unpriced", { model: "strong" })]),
});

/** Begins a task `x` of `generalist`, unless another is meant. */
async function begin(
  kernel: TestKernel,
  budget: Budget,
  { instruction = "x", agent = "generalist" } = {},
): Promise<string> {
  const { id } = await kernel.submit({ instruction, agent, after_task: "none", budget });
  return id;
}

/** The events of a reply whose provider counts so many tokens. */
function counted(
  all: [string, unknown][],
  usage: Record<string, number>,
): [string, unknown][] {
  return all.map(([type, data]): [string, unknown] => {
    const body = data as { message?: object };
    if (type === "message_start") return [type, { message: { ...body.message, usage } }];
    const { output_tokens } = usage;
    return type === "message_delta" ? [type, { ...body, usage: { output_tokens } }] : [type, data];
  });
}

/** The tree as it ended. */
async function ended(kernel: TestKernel, id: string) {
  await finished(kernel, id);
  return await kernel.read.selectFrom("trees").select(["status", "result", "reason"])
    .where("id", "=", id).executeTakeFirstOrThrow();
}

/** What the tree has promised at this instant: used, and set aside for calls under way. */
async function promised(kernel: TestKernel, id: string) {
  const { used, reserved } = await accountOf(kernel.read, id, "");
  return {
    tokens: used.tokens + reserved.tokens,
    cost_nano: used.cost_nano + reserved.cost_nano,
  };
}

Deno.test("a budget of tokens and dollars is never exceeded by fifty calls at once", async () => {
  const budget: Budget = { tokens: 400_000, cost_usd: 1.5, tasks: 100 };
  let under_way = 0;
  let most_under_way = 0;
  const promises: { tokens: number; cost_nano: number }[] = [];
  let tree = "";
  await using one = talk(async ({ task, turn, body }) => {
    if (task !== "child") {
      const starts = task === "parent" ? ["half a", "half b"] : [];
      const children = starts.length > 0 ? starts : Array(25).fill("child");
      if (turn > 0) return end("over");
      return children.map((task_instruction, index) =>
        call(`call_${index}`, "start_subtask", { task_instruction, agent_type: "generalist" })
      );
    }
    under_way++;
    most_under_way = Math.max(most_under_way, under_way);
    promises.push(await promised(one.kernel, tree));
    // Every child uses its prompt as a provider would count it, and a long reply.
    await until("calls beside it", () => promises.length > 12);
    under_way--;
    const used = { input_tokens: JSON.stringify(body).length, output_tokens: body.max_tokens };
    return stream(counted(events(end("done"), "tool_use"), used));
  });
  tree = await begin(one.kernel, budget, { instruction: "parent" });
  const { status } = await ended(one.kernel, tree);
  const { used } = await accountOf(one.kernel.read, tree, "");
  assert.ok(most_under_way > 10, `only ${most_under_way} calls at once`);
  for (const { tokens, cost_nano } of [...promises, used]) {
    assert.ok(tokens <= budget.tokens!, `${tokens} tokens`);
    assert.ok(cost_nano <= budget.cost_usd! * NANO, `${cost_nano / NANO} dollars`);
  }
  // It was a budget that bit: not all of them could be paid.
  const tasks = await one.tasks(tree);
  const refused = tasks.filter(({ reason }) => /budget is used up/.test(reason ?? ""));
  assert.ok(refused.length > 0, `${status}: nothing was refused of ${tasks.length} tasks`);
  assert.ok(used.tokens > budget.tokens! / 2, `only ${used.tokens} tokens were used`);
});

Deno.test("a call that could exceed the budget is not made, and the reply before it is what is left", async () => {
  // Room for the first call, and not for a second one beside what the first has used.
  const tokens = 40_000;
  const used = { input_tokens: 38_000, output_tokens: 10 };
  await using one = talk(() =>
    stream(counted(
      events([{ type: "text", text: "As far as I came" }, call("c", "list_files", {})], "tool_use"),
      used,
    ))
  );
  const tree = await ended(one.kernel, await begin(one.kernel, { tokens }));
  assert.equal(tree.status, "failed");
  assert.match(tree.reason!, /budget is used up: 38010 of 40000 tokens are gone/);
  assert.equal(tree.result, "As far as I came");
  assert.equal(one.asked.length, 1);
  const none = await ended(one.kernel, await begin(one.kernel, { tokens: 100 }));
  assert.match(none.reason!, /budget is used up: 0 of 100 tokens are gone/);
  assert.equal(one.asked.length, 1);
});

Deno.test("a reply is given no more tokens than the budget has left", async () => {
  await using one = talk(() => end("over"));
  await one.run("to see how long the prompt is");
  const prompt = JSON.stringify(one.asked[0].body).length;
  await ended(one.kernel, await begin(one.kernel, { tokens: prompt + 1_500 + 1_000 }));
  const { max_tokens } = one.asked[1].body;
  assert.ok(max_tokens < 2_000 && max_tokens >= 1_024, `${max_tokens}`);
  assert.equal(one.asked[0].body.max_tokens, 2_000);
});

Deno.test("a budget in dollars refuses a model whose price nobody knows, and one in tokens does not", async () => {
  await using one = talk(() => end("over"));
  const run = async (budget: Budget) =>
    await ended(one.kernel, await begin(one.kernel, budget, { agent: "unpriced" }));
  const dollars = await run({ cost_usd: 100 });
  assert.match(dollars.reason!, /the price of the-strong-one is unknown/);
  assert.equal(one.asked.length, 0);
  const tokens = await run({ tokens: 1_000_000 });
  assert.equal(tokens.result, "over");
});

Deno.test("what a call cost is written down by its kinds of tokens, and unknown where a price is", async () => {
  const used = {
    input_tokens: 100,
    cache_read_input_tokens: 1_000,
    cache_creation_input_tokens: 10,
    output_tokens: 50,
  };
  await using one = talk(() => stream(counted(events(end("over"), "tool_use"), used)));
  const usage = async (agent: string) => {
    const id = await begin(one.kernel, {}, { agent });
    await finished(one.kernel, id);
    return await one.kernel.read.selectFrom("tasks")
      .select(["input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"])
      .select(["cost_nano", "unpriced_calls"]).where("tree_id", "=", id)
      .executeTakeFirstOrThrow();
  };
  const tokens = {
    input_tokens: 1_110,
    cache_read_tokens: 1_000,
    cache_write_tokens: 10,
    output_tokens: 50,
  };
  const cost_nano = 100 * 3_000 + 1_000 * 300 + 10 * 3_750 + 50 * 15_000;
  assert.deepEqual(await usage("generalist"), { ...tokens, cost_nano, unpriced_calls: 0 });
  assert.deepEqual(await usage("unpriced"), { ...tokens, cost_nano: 0, unpriced_calls: 1 });
});

Deno.test("nothing stays set aside once a tree is over, whatever became of its calls", async () => {
  let asked = 0;
  await using one = talk(() => {
    asked++;
    if (asked === 1) {
      return stream(events([{ type: "text", text: "half" }], "end_turn").slice(0, 3));
    }
    return end("over");
  });
  const id = await begin(one.kernel, { tokens: 1_000_000 });
  assert.equal((await ended(one.kernel, id)).result, "over");
  assert.deepEqual((await accountOf(one.kernel.read, id, "")).reserved, {
    tokens: 0,
    cost_nano: 0,
  });
  // The one that broke off had used its prompt.
  const [{ input_tokens }] = await one.tasks(id);
  assert.equal(input_tokens, 2 * (7 + 3));
});

Deno.test("what was set aside for a call that a crash cut off is never given out again", async () => {
  await using one = talk(() => end("over"));
  const { store } = one.kernel;
  const { id } = await one.run("x");
  const row = {
    key: "effect",
    tree_id: id,
    tokens: 600,
    cost_nano: 0,
    tokens_max: 1_000,
    cost_nano_max: null,
    now: 1,
  };
  assert.ok((await store.commit([reserve(row)])).ok);
  // The kernel comes back, and the effect is performed again under its key.
  const again = await store.commit([
    loseReservation({ key: "effect", lost_key: "effect/lost" }),
    reserve(row),
  ]);
  assert.equal(again.ok, false);
  const less = await store.commit([
    loseReservation({ key: "effect", lost_key: "effect/lost" }),
    reserve({ ...row, tokens: 380 }),
  ]);
  assert.ok(less.ok, JSON.stringify(less));
  await store.commit([release({ key: "effect" }), release({ key: "effect/lost" })]);
  const { used, reserved } = await accountOf(store.read, id, "");
  assert.equal(reserved.tokens, 0);
  assert.equal(used.tokens, 600 + 15);
});
