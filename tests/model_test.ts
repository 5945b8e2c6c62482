/** Real models: the real SDK in the gateway's worker, against a server on loopback. */
import assert from "node:assert/strict";
import { seeding } from "../db/seeding.ts";
import type { Kernel } from "../runtime/kernel.ts";
import { readSeeds } from "../seeds/mod.ts";
import { finished, replies } from "./support/agents.ts";
import { tempFolder } from "./support/folder.ts";
import { startKernel } from "./support/kernel.ts";
import {
  type Asked,
  type Block,
  call,
  events,
  failure,
  messagesServer,
  reply,
  stream,
  text,
} from "./support/messages_server.ts";
import { runLauncher } from "./support/troupe.ts";
import { until } from "./support/until.ts";

const KEY = "sk-ant-the-secret-of-the-test";

interface Talk extends AsyncDisposable {
  readonly kernel: Kernel;
  readonly asked: Asked[];
  readonly folder: string;
  /** Runs a task of `generalist` to its end. */
  run(
    instruction: string,
  ): Promise<{ status: string; result: string | null; reason: string | null }>;
}

/** A kernel whose model is a function. */
async function talk(answer: (asked: Asked) => readonly Block[] | Response): Promise<Talk> {
  const folder = await tempFolder();
  const server = messagesServer(answer);
  Deno.env.set("ANTHROPIC_API_KEY", KEY);
  const kernel = await startKernel(folder.path, {
    agent: import.meta.resolve("../actors/agent.ts"),
  }, {
    provider: {
      base_url: server.url,
      models: { fast: "the-fast-one", default: "the-default-one", strong: "the-strong-one" },
    },
    onOpen: async (store) => {
      await store.commit((await seeding(store.read, await readSeeds(), false, 1)).unit);
    },
  });
  return {
    kernel,
    asked: server.asked,
    folder: folder.path,
    run: async (instruction) => {
      const { id } = await kernel.submit({ instruction, agent: "generalist", after_task: "none" });
      await finished(kernel, id);
      return await kernel.store.read.selectFrom("trees").select(["status", "result", "reason"])
        .where("id", "=", id).executeTakeFirstOrThrow();
    },
    [Symbol.asyncDispose]: async () => {
      await kernel.stop();
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const end = (result: string) => [call("call_end", "end_task", { status: "success", result })];

Deno.test("a three-level tree with subtasks side by side is done by a real model's replies", async () => {
  await using one = await talk(({ agent, task, turn, body }) => {
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
  for (const { body, headers } of one.asked) {
    assert.equal(body.model, "the-default-one");
    assert.equal(body.stream, true);
    assert.ok([headers.get("x-api-key"), headers.get("authorization")].join().includes(KEY));
    assertPaired(body.messages);
  }
});

Deno.test("a request marks tools, system and its last two turns for the provider's cache", async () => {
  await using one = await talk(({ turn }) =>
    turn < 3 ? [call(`call_${turn}`, "list_files", {})] : end("over")
  );
  await one.run("look three times");
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
  const { input_tokens } = await one.kernel.store.read.selectFrom("tasks").select("input_tokens")
    .executeTakeFirstOrThrow();
  assert.equal(input_tokens, 4 * (7 + 3));
});

Deno.test("thinking is given back with its signature, as it came", async () => {
  const thought = { type: "thinking", thinking: "let me see", signature: "signed" };
  await using one = await talk(({ turn }) =>
    turn === 0 ? [thought, call("call_1", "list_files", {})] : end("over")
  );
  await one.run("think");
  assert.deepEqual(one.asked[1].body.messages[1].content[0], thought);
});

for (
  const [what, status, type, said] of [
    ["a wrong key", 401, "authentication_error", /does not accept the key.*no such key/],
    ["an account without money", 402, "billing_error", /wants to be paid first/],
    ["a model that there is not", 404, "not_found_error", /knows no such model/],
    ["a prompt that is too long", 413, "request_too_large", /prompt is too long/],
    ["a request that is wrong", 400, "invalid_request_error", /answered 400/],
  ] as const
) {
  Deno.test(`a task ends at once, with the reason, at ${what}`, async () => {
    await using one = await talk(() => failure(status, type, "no such key"));
    const tree = await one.run("x");
    assert.equal(tree.status, "failed");
    assert.match(tree.reason!, said);
    assert.equal(one.asked.length, 1);
  });
}

for (
  const [what, status, type] of [
    ["too many requests", 429, "rate_limit_error"],
    ["an overloaded provider", 529, "overloaded_error"],
    ["a provider's fault", 500, "api_error"],
  ] as const
) {
  Deno.test(`a call is made again after ${what}`, async () => {
    let asked = 0;
    await using one = await talk(() =>
      ++asked < 3 ? failure(status, type, "later") : end("in the end")
    );
    assert.equal((await one.run("x")).result, "in the end");
    assert.equal(asked, 3);
  });
}

for (
  const [what, broken] of [
    ["breaks off", () => stream(events([text("half a thought")], "end_turn").slice(0, 3))],
    ["says an error in its middle", () =>
      stream([
        ...events([text("half")], "end_turn").slice(0, 3),
        ["error", { error: { type: "overloaded_error", message: "too much" } }],
      ])],
    ["is no stream of events", () => stream([], "event: message_start\ndata: {not json\n\n")],
  ] as [string, () => Response][]
) {
  Deno.test(`a call is made again when its stream ${what}`, async () => {
    let asked = 0;
    await using one = await talk(() => ++asked === 1 ? broken() : end("whole"));
    assert.equal((await one.run("x")).result, "whole");
  });
}

Deno.test("a refusal ends the task with the model's words", async () => {
  await using one = await talk(() => reply([text("I would rather not")], "refusal"));
  const tree = await one.run("x");
  assert.equal(tree.status, "failed");
  assert.match(tree.reason!, /refused: I would rather not/);
});

Deno.test("a reply that is cut off goes on, and a call that was cut off is not made", async () => {
  const cut = [text("I write"), call("call_cut", "write_file", { path: "a", content: "b" })];
  await using one = await talk(({ turn }) => turn === 0 ? reply(cut, "max_tokens") : end("whole"));
  assert.equal((await one.run("x")).result, "whole");
  const [, assistant, user] = one.asked[1].body.messages;
  assert.deepEqual(assistant.content.map(({ type }: Block) => type), ["text"]);
  assert.match(user.content[0].text, /cut off/);
});

Deno.test("a paused turn is resumed with what was said", async () => {
  const searching = {
    type: "server_tool_use",
    id: "srvtoolu_1",
    name: "web_search",
    input: { query: "x" },
  };
  await using one = await talk(({ turn }) =>
    turn === 0 ? reply([text("I search"), searching], "pause_turn") : end("found")
  );
  assert.equal((await one.run("x")).result, "found");
  assert.equal(one.asked[1].body.messages.at(-1).role, "assistant");
});

Deno.test("an unknown tool and wrong arguments are errors that the model can mend", async () => {
  await using one = await talk(({ turn }) =>
    turn === 0
      ? [call("call_a", "no_such_tool", {}), call("call_b", "read_file", { path: 3 })]
      : end("mended")
  );
  assert.equal((await one.run("x")).result, "mended");
  const results = one.asked[1].body.messages.at(-1).content;
  assert.deepEqual(results.map(({ is_error }: Block) => is_error), [true, true]);
});

Deno.test("the text of a reply is shown as it comes", async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => go = resolve);
  const parts = events([text("a thought in two halves"), ...end("over")], "tool_use");
  const slow = () => {
    const bytes = (some: typeof parts) => stream(some).arrayBuffer();
    return new Response(
      new ReadableStream({
        async start(controller) {
          controller.enqueue(new Uint8Array(await bytes(parts.slice(0, 3))));
          await gate;
          controller.enqueue(new Uint8Array(await bytes(parts.slice(3))));
          controller.close();
        },
      }),
      { headers: { "content-type": "text/event-stream" } },
    );
  };
  await using one = await talk(slow);
  const { id } = await one.kernel.submit({
    instruction: "x",
    agent: "generalist",
    after_task: "none",
  });
  const { root_id } = await one.kernel.store.read.selectFrom("trees").select("root_id")
    .where("id", "=", id).executeTakeFirstOrThrow();
  await until(
    "the first half",
    () => one.kernel.drafts.of(root_id)?.blocks[0]?.text.startsWith("a thought"),
  );
  assert.deepEqual(await replies(one.kernel, id), []);
  go();
  await finished(one.kernel, id);
});

Deno.test("the key stands in no message, journal, error or database", async () => {
  let asked = 0;
  await using one = await talk(() =>
    ++asked === 1 ? failure(400, "invalid_request_error", `bad key ${KEY}`) : end("over")
  );
  const tree = await one.run("x");
  assert.match(tree.reason!, /bad key …/);
  await one.run("y");
  for await (const { name, isFile } of Deno.readDir(one.folder)) {
    if (!isFile) continue;
    const bytes = await Deno.readFile(`${one.folder}/${name}`);
    assert.ok(!new TextDecoder("latin1").decode(bytes).includes(KEY), name);
  }
});

Deno.test("a run in the terminal, with the grants of the real launcher, is answered by the server", async () => {
  await using folder = await tempFolder();
  await using server = messagesServer(({ agent, task, turn, body }) => {
    if (agent !== "agent_selector") return end(`${agent} with ${body.model}`);
    const input = { task_instruction: task, agent_type: "generalist" };
    if (turn === 0) return [call("call_1", "start_subtask", input)];
    return end(JSON.parse(body.messages.at(-1).content[0].content).result);
  });
  const { code, stdout, stderr } = await runLauncher(["run", "Say who you are"], {
    DATA_DIR: folder.path,
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: server.url,
    TROUPE_MODEL: "one-for-all",
  });
  assert.equal(stdout, "generalist with one-for-all\n", stderr);
  assert.equal(code, 0);
  assert.ok(!stderr.includes(KEY));
  assert.doesNotMatch(stderr, /offline model/);
});

/** Each call is answered in the next message, in its order, and nothing else stands before. */
function assertPaired(messages: { role: string; content: Block[] }[]): void {
  messages.forEach(({ role, content }, index) => {
    if (role !== "assistant") return;
    const ids = content.filter(({ type }) => type === "tool_use").map(({ id }) => id);
    const answers = (messages[index + 1]?.content ?? [])
      .filter(({ type }) => type === "tool_result").map(({ tool_use_id }) => tool_use_id);
    assert.deepEqual(answers, ids);
  });
}
