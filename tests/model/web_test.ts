/** The provider's own tools for the web: offered where an agent may use them, given back as they came. */
import assert from "node:assert/strict";
import type { ModelTable } from "../../runtime/core/model/facts.ts";
import { finished, ownAgent } from "../support/agents.ts";
import { type Asked, type Block, call, events, stream, text } from "../support/messages_server.ts";
import { end, type Talk } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";

const PRICE = { input: 0, cache_write: 0, cache_read: 0, output: 0, web_search: 10_000_000 };
const facts = { context_tokens: 1_000_000, output_tokens: 2_000, web: true, price: PRICE };
const MODELS: ModelTable = new Map([["the-default-one", facts]]);

const SEARCHED: Block[] = [
  { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "Deno 2.9" } },
  {
    type: "web_search_tool_result",
    tool_use_id: "srvtoolu_1",
    content: [{
      type: "web_search_result",
      url: "https://example.org/",
      title: "Example",
      encrypted_content: "opaque",
      page_age: null,
    }],
  },
  { ...text("It is out."), citations: [] },
];

/** The model of `searcher` has the provider's tools, that of `local_searcher` has none. */
const talk = talksInTurn({
  models: MODELS,
  onOpen: async ({ commit }) => {
    const local = { web_search: true, model: "strong" } as const;
    await commit([ownAgent("searcher", { web_search: true }), ownAgent("local_searcher", local)]);
  },
});

async function ask({ kernel }: Talk, agent: string, budget = {}): Promise<string> {
  const { id } = await kernel.submit({ instruction: "x", agent, after_task: "none", budget });
  await finished(kernel, id);
  return id;
}

const offered = ({ body }: Asked) => body.tools.slice(0, 2).map(({ type }: Block) => type);

Deno.test("an agent that may use the web is offered the provider's tools, and what they gave is given back", async () => {
  await using one = talk(({ turn }) =>
    turn === 0
      ? stream(
        events([...SEARCHED, call("call_1", "list_agents", {})], "tool_use").map(
          ([type, data]): [string, unknown] =>
            type === "message_delta"
              ? [type, {
                ...data as object,
                usage: { output_tokens: 5, server_tool_use: { web_search_requests: 2 } },
              }]
              : [type, data],
        ),
      )
      : end("found")
  );
  const id = await ask(one, "searcher");
  assert.equal((await one.tree(id)).result, "found");
  assert.deepEqual(offered(one.asked[0]), ["web_search_20250305", "web_fetch_20250910"]);
  const given = one.asked[1].body.messages[1].content;
  assert.deepEqual(given.slice(0, 3), SEARCHED);
  const { cost_nano } = await one.kernel.read.selectFrom("tasks").select("cost_nano")
    .where("tree_id", "=", id).executeTakeFirstOrThrow();
  assert.equal(cost_nano, 2 * PRICE.web_search);
});

Deno.test("an agent that may not use the web, and a model without such tools, are not offered them", async () => {
  await using one = talk(() => end("over"));
  await ask(one, "generalist");
  await ask(one, "local_searcher");
  assert.deepEqual(one.asked.map(({ body }) => body.model), ["the-default-one", "the-strong-one"]);
  for (const asked of one.asked) {
    assert.ok(!offered(asked).some((type: string) => type?.startsWith("web_")));
  }
});

Deno.test("a budget that what the web may add does not fit into makes the call without it", async () => {
  await using one = talk(() => end("over"));
  const id = await ask(one, "searcher", { tokens: 60_000 });
  assert.equal((await one.tree(id)).result, "over");
  assert.ok(!offered(one.asked[0]).includes("web_search_20250305"));
});
