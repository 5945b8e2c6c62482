/** Faults of a provider that do not pass: what they end, and what they leave alone. */
import assert from "node:assert/strict";
import type { Answer, Asked, Block } from "../support/messages_server.ts";
import {
  assertPaired,
  bytesOf,
  call,
  events,
  failure,
  messagesServer,
  openStream,
  reply,
  stream,
  text,
} from "../support/messages_server.ts";
import { rows } from "../support/long.ts";
import { end, line } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";
import { until } from "../support/until.ts";

const log: string[] = [];
const talk = talksInTurn({ log: (line) => void log.push(line) });

Deno.test("a fault that lasts ends its task at once, with the reason, after one request", async (t) => {
  let refused = () => failure(500, "api_error", "");
  await using one = talk(() => refused());
  for (
    const [what, status, type, said] of [
      ["a wrong key", 401, "authentication_error", /does not accept the key.*no such key/],
      ["an account without money", 402, "billing_error", /wants to be paid first/],
      ["a model that there is not", 404, "not_found_error", /knows no such model/],
      ["a prompt that is too long", 413, "request_too_large", /prompt is too long/],
      ["a request that is wrong", 400, "invalid_request_error", /answered 400/],
    ] as const
  ) {
    await t.step(what, async () => {
      refused = () => failure(status, type, "no such key");
      const before = one.asked.length;
      const tree = await one.run("x");
      assert.equal(tree.status, "failed");
      assert.match(tree.reason!, said);
      assert.equal(one.asked.length, before + 1);
    });
  }
});

const UNUSABLE: readonly [what: string, refused: () => Response, said: RegExp][] = [
  [
    "a wrong key that is told in the middle of a stream",
    () =>
      stream([
        ...events([text("half")], "end_turn").slice(0, 3),
        ["error", { error: { type: "authentication_error", message: "revoked" } }],
      ]),
    /does not accept the key .*: revoked/,
  ],
  [
    "a wrong key (401)",
    () => failure(401, "authentication_error", "invalid bearer token"),
    /does not accept the key \(ANTHROPIC_API_KEY\): invalid bearer token/,
  ],
  [
    "a bill (402)",
    () => failure(402, "billing_error", "see your payment details"),
    /wants to be paid first: see your payment details/,
  ],
  [
    "a key without permission (403)",
    () => failure(403, "permission_error", "not for this key"),
    /does not accept the key .*: not for this key/,
  ],
  [
    "an empty account (400)",
    () => failure(400, "invalid_request_error", "Your credit balance is too low to access the API"),
    /wants to be paid first: Your credit balance is too low/,
  ],
  [
    "a spending limit of one's own (400)",
    () =>
      failure(
        400,
        "invalid_request_error",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
      ),
    /wants to be paid first: You have reached .* regain access on 2026-12-01/,
  ],
  [
    "a spending limit of the provider's (429)",
    () =>
      failure(429, "rate_limit_error", "The organization has crossed its threshold", {}, {
        error_code: "enforced_spend_limit_reached",
      }),
    /wants to be paid first: The organization has crossed its threshold/,
  ],
];

Deno.test("whatever it is that a provider refuses every call for, it concerns the whole tree", async () => {
  let refused = UNUSABLE[0][1];
  await using server = messagesServer(() => refused());
  for (const [what, now, said] of UNUSABLE) {
    refused = now;
    const answer = await line(server.url).ask();
    assert.ok("failed" in answer, what);
    assert.equal(answer.concerns, "tree", what);
    assert.match(answer.failed, said);
  }
});

Deno.test("a provider that refuses every call stops the whole tree, what runs beside it too, and is not asked again", async (t) => {
  let answer: Answer = () => [];
  await using one = talk((asked) => answer(asked));
  for (const [what, refused, said] of rows(UNUSABLE)) {
    await t.step(what, async () => {
      const beside = openStream(events([text("half")], "end_turn").slice(0, 3));
      let id = "";
      const isHeard = () => one.kernel.drafts.ofTree(id).some(({ blocks }) => blocks.length > 0);
      const asked: string[] = [];
      answer = async ({ task }) => {
        asked.push(task);
        if (task === "beside") return beside.response;
        if (task === "refused") {
          await until("the other one to be heard", isHeard);
          return refused();
        }
        return [subtask("refused"), subtask("beside")];
      };
      id = await one.begin(what);
      await until("the tree to end", async () => (await one.tree(id)).status === "failed");
      await until("the other request to be hung up", beside.left);
      await until("nothing to be under way", async () => {
        const [view] = await one.kernel.gateway.views();
        return view.under_way === 0 && view.waiting === 0 && one.kernel.load.running === 0;
      });
      assert.match((await one.tree(id)).reason!, said);
      const [root, ...children] = await one.tasks(id);
      assert.equal(root.status, "failed");
      assert.match(root.reason!, said);
      assert.deepEqual(children.map(({ status }) => status), ["cancelled", "cancelled"]);
      for (const { reason } of children) assert.match(reason!, said);
      assert.equal(asked.length, 3);
      assert.ok(log.some((line) => line.includes(id) && said.test(line)), log.join("\n"));
    });
  }
});

Deno.test("a request that fails ends its own task alone, and the one above it goes on", async (t) => {
  let refused = () => failure(500, "api_error", "");
  let times = 0;
  await using one = talk(({ task, turn, body }) => {
    if (task === "refused") {
      times++;
      return refused();
    }
    if (task === "beside") return end("done beside");
    if (turn === 0) return [subtask("refused"), subtask("beside")];
    return end(resultsIn(body).map(({ status, reason }) => `${status} ${reason ?? ""}`).join());
  });
  for (
    const [what, status, type, message, said] of [
      ["wrong (400)", 400, "invalid_request_error", "messages.0: odd", /400: messages.0: odd/],
      ["no such model (404)", 404, "not_found_error", "model: nobody", /no such model .*nobody/],
    ] as const
  ) {
    await t.step(what, async () => {
      times = 0;
      refused = () => failure(status, type, message);
      const tree = await one.run("above");
      assert.equal(tree.status, "done");
      assert.match(tree.result!, said);
      assert.match(tree.result!, /^failed .*,done $/);
      assert.equal(times, 1);
    });
  }
});

const TOO_LONG = "prompt is too long: 200251 tokens > 200000 maximum";

Deno.test("a prompt that is too long has its older turns summarised, and the task goes on", async () => {
  const long = "what I have seen so far. ".repeat(1_000);
  const asked: Asked[] = [];
  await using one = talk((one) => {
    asked.push(one);
    const { body } = one;
    if (body.tool_choice?.type === "none") return [text("I listed the files five times.")];
    const size = bytesOf([["", body]]).length;
    if (size > 100_000) return failure(400, "invalid_request_error", TOO_LONG);
    if (JSON.stringify(body.messages).includes("I listed the files five times.")) {
      return end("with a summary");
    }
    const calls = [text(long), call(`call_${asked.length}`, "list_files", {})];
    return reply(calls, "tool_use", Math.ceil(size / 3));
  });
  const { id, status, result } = await one.run("look again and again");
  assert.deepEqual({ status, result }, { status: "done", result: "with a summary" });

  const [refused, , again] = asked.slice(-3);
  const lengths = [refused, again].map(({ body }) => JSON.stringify(body.messages).length);
  assert.ok(lengths[1] < lengths[0] / 2, lengths.join(" → "));
  // The prefix that the provider has in its cache is still the same.
  assert.deepEqual(again.body.system, refused.body.system);
  assert.deepEqual(again.body.tools, refused.body.tools);
  for (const { body } of asked) assertPaired(body.messages);

  const journal = await one.journal(id);
  const compacted = journal.filter(({ type }) => type === "context.compacted");
  assert.deepEqual(compacted.map(({ summary }) => summary), ["I listed the files five times."]);
  // Nothing of what was summarised is gone from the journal.
  const replied = journal.filter(({ type }) => type === "model.replied");
  assert.equal(replied.length, asked.length - 2);
});

Deno.test("a prompt that is too long at the very first turn fails its task with the reason", async () => {
  await using one = talk(() => failure(400, "invalid_request_error", TOO_LONG));
  const { status, reason } = await one.run("x");
  assert.equal(status, "failed");
  assert.match(reason!, /too long for the model's provider: prompt is too long: 200251 tokens/);
  assert.equal(one.asked.length, 1);
});

Deno.test("a prompt that is too long even for its summary fails its task with the reason", async () => {
  await using one = talk(({ turn }) =>
    turn < 2
      ? [text("much ".repeat(5_000)), call(`call_${turn}`, "list_files", {})]
      : failure(400, "invalid_request_error", TOO_LONG)
  );
  const { status, reason } = await one.run("x");
  assert.equal(status, "failed");
  assert.match(reason!, /too long for the model's provider/);
  assert.equal(one.asked.length, 4);
});

function subtask(task_instruction: string): Block {
  const input = { task_instruction, agent_type: "generalist" };
  return call(`call_${task_instruction}`, "start_subtask", input);
}

/** What the subtasks of the last turn came to. */
function resultsIn(body: Asked["body"]): { status: string; reason?: string }[] {
  return body.messages.at(-1).content.map(({ content }: { content: string }) =>
    JSON.parse(content)
  );
}
