/** Conversations that outgrow a small model's window, again and again. */
import assert from "node:assert/strict";
import type { ModelTable } from "../../runtime/core/model/facts.ts";
import { type Asked, assertPaired, call, reply, text } from "../support/messages_server.ts";
import { end, talk } from "../support/talk.ts";

/** A window that the prefix alone fills by a third. */
const CONTEXT_TOKENS = 14_000;
const MODELS: ModelTable = new Map([
  ["the-default-one", {
    context_tokens: CONTEXT_TOKENS,
    output_tokens: 1_000,
    web: false,
    price: null,
  }],
]);
const TURNS = 12;

const sizeOf = ({ body }: Asked) => Math.ceil(JSON.stringify(body).length / 3);
const asksForSummary = ({ body }: Asked) => body.tool_choice?.type === "none";

Deno.test("older turns are summarised before the window is full, as often as it takes, and nothing else is lost", async () => {
  let calls = 0;
  let summaries = 0;
  await using one = await talk(({ body, ...rest }) => {
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
  }, { models: MODELS });
  const { id, result } = await one.run("write and write");
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
