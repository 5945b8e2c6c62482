/** A conversation with a real model: the real SDK in the gateway's worker, against a server on loopback. */
import assert from "node:assert/strict";
import { readSeeds } from "../../seeds/mod.ts";
import { ownAgent, replies } from "../support/agents.ts";
import {
  type Answer,
  type Asked,
  assertPaired,
  type Block,
  call,
  events,
  openStream,
  reply,
  text,
} from "../support/messages_server.ts";
import { end } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";
import { until } from "../support/until.ts";

/** A window that the prefix of `forgetful` alone fills by a third. */
const CONTEXT_TOKENS = 14_000;
const facts = { context_tokens: 100_000, output_tokens: 1_000, web: false, price: null };

/** Two agents that are like `generalist`, but for their models. */
const talk = talksInTurn({
  models: new Map([
    ["the-strong-one", { ...facts, context_tokens: CONTEXT_TOKENS }],
    ["the-fast-one", { ...facts, calls_max: 1 }],
  ]),
  onOpen: async ({ commit }) => {
    const { agents } = await readSeeds();
    const alike = agents.find(({ name }) => name === "generalist");
    await commit([
      ownAgent("forgetful", { ...alike, name: "forgetful", model: "strong" }),
      ownAgent("single", { ...alike, name: "single", model: "fast" }),
    ]);
  },
});

Deno.test("a three-level tree with subtasks side by side is done by a real model's replies", async () => {
  await using one = talk(({ agent, task, turn, body }) => {
    assert.equal(agent, "generalist");
    const [, level] = /level (\d)/.exec(task)!;
    if (level === "3") return end(`leaf ${task.slice(-1)}`);
    if (turn > 0) {
      const results = body.messages.at(-1).content.map((block: { content: string }) =>
        JSON.parse(block.content).result
      );
      return end(results.join(" + "));
    }
    const next = Number(level) + 1;
    return ["a", "b"].map((name) =>
      call(`call_${name}`, "start_subtask", {
        task_instruction: `level ${next} ${name}`,
        agent_type: "generalist",
      })
    );
  });
  const tree = await one.run("level 1 r");
  assert.equal(tree.result, "leaf a + leaf b + leaf a + leaf b");
  for (const { body } of one.asked) {
    assert.equal(body.model, "the-default-one");
    assert.equal(body.stream, true);
    assertPaired(body.messages);
  }
});

Deno.test("the results of several calls stand in the order of the calls, whichever was there first", async () => {
  const first = Promise.withResolvers<Block[]>();
  await using one = talk(({ task, turn }) => {
    if (task === "first") return first.promise;
    if (task === "second") {
      // The one that was called first ends last.
      first.resolve(end("of the first"));
      return end("of the second");
    }
    return turn > 0 ? end("over") : [
      call("call_1", "start_subtask", { task_instruction: "first", agent_type: "generalist" }),
      call("call_2", "no_such_tool", {}),
      call("call_3", "start_subtask", { task_instruction: "second", agent_type: "generalist" }),
      call("call_4", "list_files", {}),
    ];
  });
  assert.equal((await one.run("several")).result, "over");
  const { messages } = one.asked.at(-1)!.body;
  assertPaired(messages);
  const answers = messages.at(-1).content.map(({ content }: { content: string }) => content);
  assert.match(answers[0], /of the first/);
  assert.match(answers[1], /no tool no_such_tool/);
  assert.match(answers[2], /of the second/);
  assert.equal(answers.length, 4);
});

Deno.test("a request marks tools, system and its last two turns for the provider's cache", async () => {
  await using one = talk(({ turn }) =>
    turn < 3 ? [call(`call_${turn}`, "list_files", {})] : end("over")
  );
  const { id } = await one.run("look three times");
  const marked = (blocks: Block[]) =>
    blocks.flatMap(({ cache_control }, index) => cache_control ? [index] : []);
  for (const { body } of one.asked) {
    assert.deepEqual(marked(body.tools), [body.tools.length - 1]);
    assert.deepEqual(marked(body.system), [body.system.length - 1]);
    const turns = body.messages.filter(({ role }: { role: string }) => role === "user");
    const inTurns = turns.map(({ content }: { content: Block[] }) => marked(content).length);
    assert.deepEqual(
      inTurns,
      turns.map((_: unknown, at: number) => at >= turns.length - 2 ? 1 : 0),
    );
  }
  // What stood in an earlier request stands in the later ones, in the same place.
  const prefix = (asked: Asked) =>
    JSON.stringify([asked.body.tools, asked.body.system, asked.body.messages[0].content[0].text]);
  assert.equal(new Set(one.asked.map(prefix)).size, 1);
  const [{ input_tokens }] = await one.tasks(id);
  assert.equal(input_tokens, 4 * (7 + 3));
});

Deno.test("thinking is given back with its signature, as it came", async () => {
  const thought = { type: "thinking", thinking: "let me see", signature: "signed" };
  await using one = talk(({ turn }) =>
    turn === 0 ? [thought, call("call_1", "list_files", {})] : end("over")
  );
  await one.run("think");
  assert.deepEqual(one.asked[1].body.messages[1].content[0], thought);
});

Deno.test("why a reply stops decides how its task goes on", async (t) => {
  let answer: Answer = () => [];
  await using one = talk((asked) => answer(asked));

  await t.step("a refusal ends the task with the model's words", async () => {
    answer = () => reply([text("I would rather not")], "refusal");
    const tree = await one.run("x");
    assert.equal(tree.status, "failed");
    assert.match(tree.reason!, /refused: I would rather not/);
  });

  for (const stop_reason of ["max_tokens", "model_context_window_exceeded"]) {
    await t.step(
      `a reply that is cut off (${stop_reason}) goes on, and a call that was cut off is not made`,
      async () => {
        const cut = [text("I write"), call("call_cut", "write_file", { path: "a", content: "b" })];
        answer = ({ turn }) => turn === 0 ? reply(cut, stop_reason) : end("whole");
        assert.equal((await one.run("x")).result, "whole");
        const [, assistant, user] = one.asked.at(-1)!.body.messages;
        assert.deepEqual(assistant.content.map(({ type }: Block) => type), ["text"]);
        assert.match(user.content[0].text, /cut off/);
      },
    );
  }

  await t.step("a paused turn is resumed with what was said", async () => {
    const searching = {
      type: "server_tool_use",
      id: "srvtoolu_1",
      name: "web_search",
      input: { query: "x" },
    };
    answer = ({ turn }) =>
      turn === 0 ? reply([text("I search"), searching], "pause_turn") : end("found");
    assert.equal((await one.run("x")).result, "found");
    const { role, content } = one.asked.at(-1)!.body.messages.at(-1);
    assert.equal(role, "assistant");
    assert.deepEqual(content[1], searching);
  });
});

Deno.test("a reply of text alone is asked to go on, and no empty text is ever given back", async () => {
  await using one = talk(({ turn }) =>
    turn === 0 ? [] : turn === 1 ? [text("I am done")] : end("over")
  );
  assert.equal((await one.run("x")).result, "over");
  for (const { body } of one.asked) {
    for (const { content } of body.messages) {
      assert.ok(content.length > 0);
      for (const block of content) assert.ok(block.type !== "text" || block.text.trim() !== "");
    }
  }
});

Deno.test("the text of a reply is shown as it comes", async () => {
  const parts = events([text("a thought in two halves"), ...end("over")], "tool_use");
  const slow = openStream(parts.slice(0, 3));
  await using one = talk(() => slow.response);
  const id = await one.begin("x");
  const { root_id } = await one.kernel.read.selectFrom("trees").select("root_id")
    .where("id", "=", id).executeTakeFirstOrThrow();
  await until(
    "the first half",
    () => one.kernel.drafts.of(root_id)?.blocks[0]?.text.startsWith("a thought"),
  );
  assert.deepEqual(await replies(one.kernel, id), []);
  slow.say(parts.slice(3));
  slow.end();
  await until("the end", async () => (await one.tree(id)).result === "over");
});

Deno.test("a model that takes one call at a time gets one at a time", async () => {
  let under_way = 0;
  let most = 0;
  let served = 0;
  await using one = talk(async ({ task }) => {
    if (task === "all") {
      const input = (index: number) => ({
        task_instruction: `part ${index}`,
        agent_type: "single",
      });
      if (most === 0) return [1, 2, 3].map((n) => call(`call_${n}`, "start_subtask", input(n)));
      return end("over");
    }
    most = Math.max(most, ++under_way);
    const others = 3 - ++served;
    await until("the others to wait", async () => {
      const views = await one.kernel.gateway.views();
      return views.find(({ model }) => model === "the-fast-one")!.waiting === others;
    });
    under_way--;
    return end("part");
  });
  assert.equal((await one.run("all", "single")).result, "over");
  assert.equal(most, 1);
});

const TURNS = 12;

const sizeOf = ({ body }: Asked) => Math.ceil(JSON.stringify(body).length / 3);
const asksForSummary = ({ body }: Asked) => body.tool_choice?.type === "none";

Deno.test("older turns are summarised before the window is full, as often as it takes, and nothing else is lost", async () => {
  let calls = 0;
  let summaries = 0;
  await using one = talk(({ body, ...rest }) => {
    const asked = { body, ...rest };
    const input_tokens = sizeOf(asked);
    if (asksForSummary(asked)) {
      return reply([text(`summary ${++summaries}`)], "end_turn", input_tokens);
    }
    if (++calls > TURNS) return reply(end("over"), "tool_use", input_tokens);
    const plan = calls === 1 ? [text("My plan: look, look again, and end.")] : [];
    const content = `${calls} `.repeat(1_500);
    const blocks = [
      ...plan,
      call(`call_${calls}`, "write_file", { path: `${calls}.txt`, content }),
    ];
    return reply(blocks, "tool_use", input_tokens, Math.ceil(JSON.stringify(blocks).length / 3));
  });
  const { id, result } = await one.run("write and write", "forgetful");
  assert.equal(result, "over");
  assert.ok(summaries >= 2, `${summaries} summaries`);

  for (const asked of one.asked) {
    const { body } = asked;
    assert.ok(sizeOf(asked) + body.max_tokens <= CONTEXT_TOKENS, `${sizeOf(asked)} tokens`);
    assertPaired(body.messages);
    assert.equal(body.messages[0].role, "user");
    // The task and what the agent is stand outside of what is summarised.
    assert.match(JSON.stringify(body.system), /write and write/);
  }
  const after = one.asked[one.asked.findIndex(asksForSummary) + 1];
  const first = JSON.stringify(after.body.messages[0].content);
  assert.match(first, /summary 1/);
  assert.match(first, /My plan: look, look again, and end/);
  // The newest turns are there as they were.
  assert.ok(after.body.messages.length > 1);
  // A later summary is made of the earlier one too.
  const second = one.asked.filter(asksForSummary)[1];
  assert.match(JSON.stringify(second.body.messages[0]), /summary 1/);

  const journal = await one.journal(id);
  const count = (type: string) => journal.filter((entry) => entry.type === type).length;
  assert.equal(count("context.compacted"), summaries);
  assert.equal(count("model.replied"), TURNS + 1);
  // What the summaries cost is counted with the task.
  const [{ input_tokens }] = await one.tasks(id);
  const sent = one.asked.reduce((sum, asked) => sum + sizeOf(asked), 0);
  assert.ok(input_tokens >= sent, `${input_tokens} of ${sent} tokens`);
});
