/** What a model says reaches whoever watches while it is being said; the journal gets the whole. */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import { Drafts } from "../../runtime/passing/drafts.ts";
import { finished } from "../support/agents.ts";
import { HandClock } from "../support/clock.ts";
import {
  type Block,
  call,
  events,
  type OpenStream,
  openStream,
} from "../support/messages_server.ts";
import { end, type Talk, talk } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";
import { until } from "../support/until.ts";

const inTurn = talksInTurn();

const REPLY: Block[] = [
  { type: "thinking", thinking: "let me think", signature: "signed" },
  { type: "text", text: "I write a file." },
  call("call_1", "write_file", { path: "a.txt", content: "<b>bold</b>" }),
];

interface Delta {
  readonly task_id: string;
  readonly turn: number;
  readonly attempt: number;
  readonly block?: number;
  readonly kind?: string;
  readonly name?: string | null;
  readonly text?: string;
  readonly waiting?: string;
}

/** A talk whose first reply comes event by event, as the test wants it. */
async function held(): Promise<Talk & { readonly reply: OpenStream; readonly id: string }> {
  const reply = openStream([]);
  const one = inTurn(({ turn }) => turn === 0 ? reply.response : end("over"));
  const id = await one.begin("write");
  await until("the question", () => one.asked.length === 1);
  return Object.assign(one, { reply, id });
}

/** Reads a tree's events from its beginning. */
async function* read({ kernel }: Talk, id: string): AsyncGenerator<[string, unknown]> {
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const response = await app.request(`/api/trees/${id}/events`, { headers: { host: "127.0.0.1" } });
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop()!;
    for (const part of parts) {
      const [, type] = /^event: (.*)$/m.exec(part) ?? [];
      if (type) yield [type, JSON.parse(/^data: (.*)$/m.exec(part)![1])];
    }
  }
}

/** Puts deltas together as a client would. */
function blocksOf(deltas: readonly Delta[]): { kind: string; name: string | null; text: string }[] {
  const blocks: { kind: string; name: string | null; text: string }[] = [];
  for (const { block, kind, name, text } of deltas) {
    if (block === undefined) continue;
    blocks[block] ??= { kind: kind!, name: name ?? null, text: "" };
    blocks[block].text += text;
  }
  return blocks;
}

const WHOLE = [
  { kind: "thinking", name: null, text: "let me think" },
  { kind: "text", name: null, text: "I write a file." },
  {
    kind: "tool_input",
    name: "write_file",
    text: JSON.stringify({ path: "a.txt", content: "<b>bold</b>" }),
  },
];

Deno.test("text, thinking and a tool's input reach the tree's events piece by piece, before the message", async () => {
  await using one = await held();
  const all = events(REPLY, "tool_use");
  const seen: [string, unknown][] = [];
  const deltas = () => seen.flatMap(([type, data]) => type === "delta" ? [data as Delta] : []);
  const reading = (async () => {
    for await (const event of read(one, one.id)) seen.push(event);
  })();
  // Up to the first half of the first block, and not a byte more until that was seen.
  one.reply.say(all.slice(0, 3));
  await until("the first piece", () => deltas().some(({ text }) => text === "let me think"));
  one.reply.say(all.slice(3, -3));
  await until("all pieces", () => blocksOf(deltas()).at(2)?.text.endsWith("}"));
  assert.deepEqual(blocksOf(deltas()), WHOLE);
  one.reply.say(all.slice(-3));
  one.reply.end();
  await reading;
  const order = seen.map(([type, data]) => `${type} ${(data as { type?: string }).type ?? ""}`);
  const replied = order.indexOf("message model.replied");
  assert.ok(order.findLastIndex((one) => one.startsWith("delta")) > 0);
  assert.ok(order.indexOf("delta ") < replied);
  assert.equal(order.at(-1), "end ");
});

Deno.test("who joins in the middle of a reply is told all of it from its beginning", async () => {
  await using one = await held();
  const all = events(REPLY, "tool_use");
  one.reply.say(all.slice(0, -4));
  const [{ id: task_id }] = await one.tasks(one.id);
  await until("what was said", () => one.kernel.drafts.of(task_id)?.blocks.length === 3);
  const deltas: Delta[] = [];
  for await (const [type, data] of read(one, one.id)) {
    if (type === "delta") deltas.push(data as Delta);
    if (blocksOf(deltas).length === 3) break;
  }
  assert.deepEqual(blocksOf(deltas).slice(0, 2), WHOLE.slice(0, 2));
  // So is who opens the page.
  const app = createApp(one.kernel, { host: "127.0.0.1", admin_token: null });
  const page = await app.request(`/trees/${one.id}/stream`, { headers: { host: "127.0.0.1" } });
  let html = "";
  for await (const text of page.body!.pipeThrough(new TextDecoderStream())) {
    html += text;
    if (html.includes("I write a file.") && html.includes("let me think")) break;
  }
  assert.ok(!html.includes("<b>bold"), "what a model says is text, never markup");
  one.reply.say(all.slice(-4));
  one.reply.end();
  await finished(one.kernel, one.id);
});

Deno.test("a reply that begins anew is told as a new attempt, and who waits is told why", async () => {
  let asked = 0;
  await using one = inTurn(() => {
    if (++asked === 1) {
      const broken = openStream(events([{ type: "text", text: "half" }], "end_turn").slice(0, 3));
      broken.end();
      return broken.response;
    }
    return end("whole");
  });
  const id = await one.begin("x");
  const deltas: Delta[] = [];
  for await (const [type, data] of read(one, id)) if (type === "delta") deltas.push(data as Delta);
  assert.equal((await one.tree(id)).result, "whole");
  for (const { attempt, text } of deltas) {
    if (text?.includes("half")) assert.equal(attempt, 1);
  }
});

Deno.test("a viewer who does not read keeps neither the model nor anybody else waiting", async () => {
  await using one = await held();
  const app = createApp(one.kernel, { host: "127.0.0.1", admin_token: null });
  // Two viewers who take nothing, one of the events and one of the page.
  const idle = await Promise.all(
    ["api/trees", "trees"].map((path, index) =>
      app.request(`/${path}/${one.id}/${index === 0 ? "events" : "stream"}`, {
        headers: { host: "127.0.0.1" },
      })
    ),
  );
  const long = "word ".repeat(40_000);
  const all = events([{ type: "text", text: long }, ...end("over")], "tool_use");
  for (const event of all) one.reply.say([event]);
  one.reply.end();
  await finished(one.kernel, one.id);
  assert.equal((await one.tree(one.id)).result, "over");
  for (const { body } of idle) await body!.cancel();
});

Deno.test("a task whose model speaks for longer than its timeout is not stuck", async () => {
  const reply = openStream(events([{ type: "text", text: "" }], "end_turn").slice(0, 2));
  const clock = new HandClock(Date.now());
  await using one = await talk(({ turn }) => turn === 0 ? reply.response : end("over"), { clock });
  const { id } = await one.kernel.submit({
    instruction: "talk",
    agent: "generalist",
    after_task: "none",
    timeout_seconds: 1,
  });
  const word = ["content_block_delta", { index: 0, delta: { type: "text_delta", text: "word " } }];
  await until("the question", () => one.asked.length === 1);
  for (let quarter = 0; quarter < 6; quarter++) {
    clock.advance(250);
    await until("a moment of progress, a quarter of the timeout later", async () => {
      reply.say([word as [string, unknown]]);
      const { progress_at } = await one.kernel.read.selectFrom("actors")
        .select("progress_at").where("tree_id", "=", id).executeTakeFirstOrThrow();
      return progress_at === clock.now();
    });
  }
  reply.say(events([{ type: "text", text: "" }], "end_turn").slice(-3));
  reply.end();
  await finished(one.kernel, id);
  const told = (await one.journal(id)).map(({ type }) => type);
  assert.ok(!told.includes("nudge"), told.join(", "));
});

Deno.test("a draft that was replaced is not closed by the one before it", () => {
  const drafts = new Drafts(() => {});
  const first = drafts.open("task", "tree", 1);
  const second = drafts.open("task", "tree", 2);
  first.close();
  assert.equal(drafts.of("task")?.turn, 2);
  second.close();
  assert.equal(drafts.of("task"), null);
});
