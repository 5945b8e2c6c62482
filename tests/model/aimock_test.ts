/**
 * The same against a server that is not ours: aimock, which speaks the Messages API as others read it.
 * How its streams look was not decided by who reads them here.
 */
import { type ChatCompletionRequest, LLMock } from "@copilotkit/aimock";
import assert from "node:assert/strict";
import { MODEL_RETRY_FIRST_MS } from "../../runtime/core/limits.ts";
import { textOf } from "../../runtime/core/model/messages.ts";
import { HandClock } from "../support/clock.ts";
import { line, talk } from "../support/talk.ts";
import { until } from "../support/until.ts";

type Response = Parameters<LLMock["on"]>[1];
type Options = Parameters<LLMock["on"]>[2];

Deno.test("aimock: a conversation", async (t) => {
  await using mock = await aimock();
  await using one = await talk(() => [], { url: mock.server.url });
  const repliesOf = async (id: string) =>
    (await one.journal(id)).filter(({ type }) => type === "model.replied") as unknown as Replied[];

  await t.step("text and several streamed calls of one turn, which run side by side", async () => {
    const subtask = (id: string, task_instruction: string) => ({
      id,
      name: "start_subtask",
      arguments: JSON.stringify({ task_instruction, agent_type: "generalist" }),
    });
    const said = { content: "I split it.", usage: { input_tokens: 11, output_tokens: 7 } };
    const list = { id: "toolu_3", name: "list_files", arguments: "{}" };
    const toolCalls = [subtask("toolu_1", "left"), subtask("toolu_2", "right"), list];
    mock.turn("whole", 0, { ...said, toolCalls }, { chunkSize: 5 });
    mock.turn("whole", 1, ending("both"));
    // Held until the other is there too: one after the other neither would end.
    mock.turn("left", 0, (async () => (await mock.reached("right"), ending("l"))) as Response);
    mock.turn("right", 0, (async () => (await mock.reached("left"), ending("r"))) as Response);
    const { id, result } = await one.run("whole");
    assert.equal(result, "both");
    const [root, ...below] = await one.tasks(id);
    assert.deepEqual(below.map(({ result }) => result).sort(), ["l", "r"]);
    assert.equal(root.input_tokens, 11);
    const [{ content, stop_reason }] = await repliesOf(id);
    assert.equal(stop_reason, "tool_use");
    assert.deepEqual(content.map(({ type }) => type), ["text", "tool_use", "tool_use", "tool_use"]);
  });

  await t.step(
    "thinking is written down with its signature, and the turn after is taken",
    async () => {
      mock.turn("think", 0, {
        content: "I have thought.",
        reasoning: "let me see",
        reasoningSignature: "signed",
        toolCalls: [{ id: "toolu_1", name: "list_files", arguments: "{}" }],
      }, { chunkSize: 4 });
      mock.turn("think", 1, ending("thought"));
      const { id, result } = await one.run("think");
      assert.equal(result, "thought");
      const [{ content }] = await repliesOf(id);
      assert.deepEqual(content[0], {
        type: "thinking",
        thinking: "let me see",
        signature: "signed",
      });
    },
  );

  for (
    const [what, cut] of [
      // Without a latency the socket would die before anything is sent.
      ["truncated", { chunkSize: 5, truncateAfterChunks: 5, latency: 15 }],
      ["disconnected", { chunkSize: 2, disconnectAfterMs: 100, latency: 30 }],
    ] as [string, Options][]
  ) {
    await t.step(`a stream that is ${what} is asked for anew, and the next is whole`, async () => {
      const content = "this text will be cut somewhere in its middle";
      const before = mock.server.getRequests().length;
      const first = () => mock.server.getRequests().length === before;
      mock.turn(what, 0, { content }, cut, first);
      mock.turn(what, 0, ending("whole"));
      const { id, result } = await one.run(what);
      assert.equal(result, "whole");
      assert.equal(mock.server.getRequests().length - before, 2);
      assert.equal((await repliesOf(id)).length, 1);
    });
  }

  await t.step("a key that is not accepted (401) ends the tree, after one request", async () => {
    const before = mock.server.getRequests().length;
    mock.turn("x", 0, {
      error: { message: "invalid bearer token", type: "authentication_error" },
      status: 401,
    });
    const { status, reason } = await one.run("x");
    assert.equal(status, "failed");
    assert.match(reason!, /does not accept the key .*: invalid bearer token/);
    assert.equal(mock.server.getRequests().length - before, 1);
  });
});

for (
  const [what, error] of [
    ["too many requests (429)", {
      error: { message: "slow down", type: "rate_limit_error" },
      status: 429,
      retryAfter: 2,
    }],
    ["an overloaded provider (529)", {
      error: { message: "Overloaded", type: "overloaded_error" },
      status: 529,
    }],
  ] as [string, Response][]
) {
  Deno.test(`aimock: a call is made again after ${what}`, async () => {
    await using mock = await aimock();
    mock.server.on({ sequenceIndex: 0 }, error);
    mock.server.on({ sequenceIndex: 1 }, { content: "in the end" });
    const clock = new HandClock();
    const one = line(mock.server.url, { clock });
    const calling = one.ask();
    await until("the pause", () => one.pieces.some(({ type }) => type === "waiting"));
    clock.advance(Math.max(2_000, MODEL_RETRY_FIRST_MS));
    await until("the answer", () => {
      clock.advance(1);
      return one.pieces.some(({ type }) => type === "begun");
    });
    const answer = await calling;
    assert.ok("content" in answer, JSON.stringify(answer));
    assert.equal(textOf(answer.content), "in the end");
  });
}

Deno.test("aimock: what it does not know is an error (404), which ends the task", async () => {
  await using mock = await aimock();
  const answer = await line(mock.server.url).ask();
  assert.ok("failed" in answer);
  assert.match(answer.failed, /No fixture matched/);
  assert.equal(answer.concerns, "task");
});

interface Replied {
  readonly content: readonly { readonly type: string }[];
  readonly stop_reason: string;
}

function ending(result: string) {
  return {
    toolCalls: [{
      id: "toolu_end",
      name: "end_task",
      arguments: JSON.stringify({ status: "success", result }),
    }],
  };
}

/** A server of aimock's on a free port. */
async function aimock() {
  const server = new LLMock({ port: 0 });
  await server.start();
  const taskOf = ({ messages }: ChatCompletionRequest) =>
    /<task [^>]*>([^<]*)</.exec(JSON.stringify(messages[0].content).replaceAll('\\"', '"'))?.[1];
  const seen = new Map<string, PromiseWithResolvers<void>>();
  const arrival = (task: string) => {
    const known = seen.get(task) ?? Promise.withResolvers<void>();
    seen.set(task, known);
    return known;
  };
  return {
    server,
    /** Its answer to a turn of a task, unless another one is meant now. */
    turn(task: string, turn: number, response: Response, options?: Options, now = () => true) {
      const predicate = (request: ChatCompletionRequest) => {
        if (taskOf(request) !== task || !now()) return false;
        arrival(task).resolve();
        return request.messages.filter(({ role }) => role === "assistant").length === turn;
      };
      server.on({ predicate }, response, options);
    },
    /** Resolves when a task has asked. */
    reached: (task: string) => arrival(task).promise,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
