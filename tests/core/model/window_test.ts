import assert from "node:assert/strict";
import {
  COMPACTED_CHARS_LEAST,
  COMPACTED_CHARS_MAX,
  DOCUMENT_TOKENS_MAX,
  IMAGE_TOKENS_MAX,
  PLAN_CHARS_MAX,
  TOKEN_BYTES,
  TOOL_USE_TOKENS,
} from "../../../runtime/core/limits.ts";
import {
  callsOf,
  type MediaBlock,
  type ModelMessage,
  type ModelRequest,
  NO_USAGE,
  type ReplyBlock,
  type ToolResultBlock,
  type Usage,
} from "../../../runtime/core/model/messages.ts";
import { conversation } from "../../../runtime/core/model/prompt.ts";
import type { Message } from "../../../runtime/core/protocol.ts";
import {
  coveredBy,
  coveredPart,
  coverOf,
  markOf,
  planOf,
  sizeOf,
  summaryRequest,
} from "../../../runtime/core/model/window.ts";
import { mulberry32 } from "../../support/random.ts";

const started: Message = { type: "task.started" };
const said = (text: string, more: Record<string, unknown> = {}): Message => ({
  type: "model.replied",
  content: [{ type: "text", text }],
  ...more,
});
const called = (...ids: string[]): Message => ({
  type: "model.replied",
  content: ids.map((id) => ({ type: "tool_use", id, name: "read_file", input: { path: id } })),
});
const result = (call_id: string, content = `result of ${call_id}`): Message => ({
  type: "tool.replied",
  call_id,
  content,
});
const hint = (text: string): Message => ({ type: "hint", text });
const compacted = (covers: number, summary = "All is well"): Message => ({
  type: "context.compacted",
  covers,
  summary,
});

const asked = (journal: readonly Message[], more: Partial<ModelRequest> = {}): ModelRequest => ({
  model: "default",
  system: [{ type: "text", text: "You count sheep." }],
  tools: [{ name: "read_file", description: "Read a file.", input_schema: { type: "object" } }],
  web: true,
  calls: true,
  max_tokens: 1000,
  messages: conversation(journal),
  ...more,
});

/** A reply to the prompt of this journal whose tokens its provider has counted. */
const counted = (
  journal: readonly Message[],
  usage: Partial<Usage>,
  id: string,
  request = asked(journal),
): Message => ({
  ...called(id),
  usage: { ...NO_USAGE, ...usage },
  prompt: markOf(request, journal.length),
});

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;
const texts = (message: ModelMessage | undefined): string[] =>
  (message?.content ?? []).flatMap((block) => "text" in block ? [block.text as string] : []);
const results = (message: ModelMessage | undefined): ToolResultBlock[] =>
  message?.role === "user" ? message.content.filter((block) => block.type === "tool_result") : [];

// How large a prompt is.

Deno.test("a prompt that nobody has counted has at the most a token for each of its bytes", () => {
  const request = asked([started, hint("Look at the süd gate 🐑")]);
  const bytes = bytesOf(request.system) + bytesOf(request.tools) + bytesOf(request.messages);
  const { most, likely, fresh } = sizeOf(request, [started]);
  assert.equal(most, bytes + TOOL_USE_TOKENS);
  assert.equal(likely, Math.ceil(bytes / TOKEN_BYTES) + TOOL_USE_TOKENS);
  assert.equal(fresh, likely);
});

Deno.test("after a counted reply only what has come since is bounded by its bytes", () => {
  const reply = counted([started], { input_tokens: 7000, output_tokens: 300 }, "a");
  const journal = [started, reply, result("a", "é".repeat(600))];
  const request = asked(journal);
  const bytes = bytesOf(request.messages.at(-1));
  assert.ok(bytes > 1200);
  const { most, likely, fresh } = sizeOf(request, journal);
  // What stands around a message is part of it.
  assert.ok(most >= 7300 + bytes && most < 7300 + bytes + 50, `${most}, ${bytes}`);
  assert.equal(likely, 7300 + Math.ceil((most - 7300) / TOKEN_BYTES));
  assert.equal(fresh, likely - 7000);
});

Deno.test("what came before a counted reply adds nothing, however long it is", () => {
  const usage = { input_tokens: 7000, output_tokens: 300 };
  const after = (text: string) => {
    const begun = [started, said(text), hint(text)];
    const journal = [...begun, counted(begun, usage, "a"), result("a")];
    return sizeOf(asked(journal), journal);
  };
  assert.deepEqual(after("x".repeat(50_000)), after("x"));
});

Deno.test("the newest of several counts is the one that counts", () => {
  const journal = [started];
  for (const [id, input_tokens] of [["a", 90_000], ["b", 500]] as const) {
    journal.push(counted(journal, { input_tokens }, id), result(id));
  }
  const { most } = sizeOf(asked(journal), journal);
  assert.ok(most > 500 && most < 1000, String(most));
});

Deno.test("a hint that came while the model was thinking was not in the prompt that it counted", () => {
  const usage = { input_tokens: 7000, output_tokens: 300 };
  const long = hint("ü".repeat(5000));
  const journal = [started, long, counted([started], usage, "a"), result("a")];
  const { most } = sizeOf(asked(journal), journal);
  assert.ok(most > 17_300, String(most));
  const known = [started, long, counted([started, long], usage, "a"), result("a")];
  assert.ok(sizeOf(asked(known), known).most < 7600);
});

Deno.test("a count that searches of the web have swollen does not have a short conversation summarised", () => {
  const swollen = { input_tokens: 900_000, output_tokens: 300, web_searches: 2 };
  const reply = counted([started], swollen, "a");
  const searched = { type: "server_tool_use", id: "s", name: "web_search", input: {} };
  const content = [searched, ...reply.content as object[]];
  const journal = [started, { ...reply, content }, result("a")];
  const request = asked(journal);
  const { messages: _, ...rest } = request;
  const bytes = bytesOf(request.messages) + bytesOf(rest.system) + bytesOf(rest.tools);
  const { most, likely, fresh } = sizeOf(request, journal);
  assert.equal(most, bytes + TOOL_USE_TOKENS);
  assert.ok(likely < 3000, String(likely));
  assert.equal(fresh, likely);
});

Deno.test("documents and tools that were attached since are added", () => {
  const first = asked([started]);
  const journal = [started, counted([started], { input_tokens: 7000 }, "a"), result("a")];
  const before = sizeOf(asked(journal), journal);
  const document = { type: "text" as const, text: "ö".repeat(400) };
  const tool = { name: "write", description: "Write.", input_schema: { type: "object" } };
  const grown = asked(journal, {
    system: [...first.system, document],
    tools: [...first.tools, tool],
  });
  // A comma before each.
  const bytes = bytesOf(document) + bytesOf(tool) + 2;
  const after = sizeOf(grown, journal);
  assert.equal(after.most - before.most, bytes);
  assert.ok(Math.abs(after.likely - before.likely - bytes / TOKEN_BYTES) <= 1);
  assert.ok(after.fresh > before.fresh);
});

Deno.test("a document that was taken away since does not hide what has come instead", () => {
  const long = asked([started], { system: [{ type: "text", text: "x".repeat(9000) }] });
  const reply = counted([started], { input_tokens: 7000 }, "a", long);
  const journal = [started, reply, result("a", "7".repeat(4000))];
  const { most } = sizeOf(asked(journal), journal);
  // A long line of one letter is few tokens, one of digits can be a token for each.
  assert.ok(most > 11_000, String(most));
});

const media = (type: MediaBlock["type"], bytes: number): MediaBlock => ({
  type,
  source: { type: "base64", media_type: "any", data: "A".repeat(bytes) },
});
/** Results with these pictures and documents. */
const shown = (...blocks: MediaBlock[]): ModelMessage => ({
  role: "user",
  content: [{ type: "tool_result", tool_use_id: "a", content: blocks }],
});

for (
  const [type, tokens] of [["image", IMAGE_TOKENS_MAX], ["document", DOCUMENT_TOKENS_MAX]] as const
) {
  Deno.test(`one of type ${type} counts as one, whatever its bytes`, () => {
    const size = (...blocks: MediaBlock[]) =>
      sizeOf(asked([], { messages: [shown(...blocks)] }), []);
    const [small, large] = [size(media(type, 100)), size(media(type, 3_000_000))];
    assert.deepEqual(small, large);
    const two = size(media(type, 999), media(type, 5));
    assert.deepEqual(size(media(type, 0), media(type, 0)), two);
    assert.ok(small.likely > tokens && small.likely < tokens + 2000);
    assert.ok(two.likely > 2 * tokens && two.most - small.most > tokens);
  });
}

/** A result to which a picture or document belongs. */
const pictured = (call_id: string, hash: string, media_type = "image/png"): Message => ({
  ...result(call_id),
  media: [{ hash, media_type }],
});
const album = new Map(["sheep", "wolf"].map((hash) => [hash, media("image", 40_000)]));

Deno.test("a picture that was in a counted prompt adds nothing, one since then does", () => {
  const size = (seen: Message, since: Message) => {
    const before = [started, called("a"), seen];
    const request = asked(before, { messages: conversation(before, album) });
    const journal = [...before, counted(before, { input_tokens: 7000 }, "b", request), since];
    return sizeOf(asked(journal, { messages: conversation(journal, album) }), journal);
  };
  const none = size(result("a"), result("b"));
  assert.deepEqual(size(pictured("a", "sheep"), result("b")), none);
  for (const seen of [result("a"), pictured("a", "wolf")]) {
    const { most, likely } = size(seen, pictured("b", "sheep"));
    assert.ok(likely >= none.likely + IMAGE_TOKENS_MAX, `${likely}`);
    assert.ok(most >= none.most + IMAGE_TOKENS_MAX && most < none.most + IMAGE_TOKENS_MAX + 300);
  }
});

Deno.test("a picture that a newer one has driven out of the prompt does not hide it", () => {
  const before = [started, called("a"), pictured("a", "wolf")];
  const first = asked(before, { messages: conversation(before, album) });
  const reply = counted(before, { input_tokens: 7000 }, "b", first);
  const journal = [...before, reply, pictured("b", "sheep")];
  const newest = new Map([["sheep", media("image", 40_000)]]);
  const { most } = sizeOf(asked(journal, { messages: conversation(journal, newest) }), journal);
  // The one that is gone may have been a small one, and the one that has come a large one.
  assert.ok(most >= 7000 + IMAGE_TOKENS_MAX, String(most));
});

Deno.test("a reply that counts nothing leaves the whole prompt bounded by its bytes", () => {
  const first = [started, counted([started], { input_tokens: 5 }, "a"), result("a")];
  const long = said("x".repeat(9000));
  const silent = [
    long,
    { ...counted(first, {}, "b"), ...long },
    { ...long, usage: { ...NO_USAGE, input_tokens: 5 } },
  ];
  for (const reply of silent) {
    const journal = [...first, reply];
    const { most, likely, fresh } = sizeOf(asked(journal), journal);
    assert.ok(most > 9000);
    assert.equal(fresh, likely);
  }
});

Deno.test("after a compaction the count of the longer conversation is forgotten", () => {
  const usage = { input_tokens: 180_000, output_tokens: 300 };
  const long = [started, counted([started], usage, "a"), result("a")];
  const journal = [...long, compacted(long.length)];
  const { most, likely, fresh } = sizeOf(asked(journal), journal);
  assert.ok(most < 3000, String(most));
  assert.equal(fresh, likely);
  const next = [...journal, counted(journal, { input_tokens: 900 }, "b"), result("b")];
  const { most: later } = sizeOf(asked(next), next);
  assert.ok(later > 900 && later < 1200, String(later));
});

// What of a conversation is summarised.

/** So many turns whose texts have so many bytes, each with a word from outside behind it. */
const turns = (count: number, bytes: number, name = "turn"): Message[] =>
  Array.from({ length: count }, (_, index) => [
    said(`${name} ${index} `.padEnd(bytes, "x")),
    { type: "reminder", text: "Go on" },
  ]).flat();

const weightOf = (journal: readonly Message[]) =>
  journal.reduce((sum, message) => sum + bytesOf(message), 0);
/** A window a quarter of which holds so many bytes. */
const windowFor = (bytes: number) => bytes * 4 / TOKEN_BYTES;

Deno.test("as many of the newest turns stay as fit into a quarter of the window", () => {
  const journal = [started, ...turns(10, 1000)];
  for (const kept of [1, 2, 3, 9]) {
    const room = weightOf(journal.slice(-2 * kept)) + 1;
    assert.equal(coveredBy(journal, windowFor(room)), journal.length - 2 * kept);
    assert.equal(coveredBy(journal, windowFor(room + 900)), journal.length - 2 * kept);
  }
  const room = weightOf(journal.slice(-4)) - 1;
  assert.equal(coveredBy(journal, windowFor(room)), journal.length - 2);
});

Deno.test("a turn is covered or stays as a whole, with the results of its calls", () => {
  const journal = [
    started,
    called("a", "b"),
    result("a"),
    result("b", "x".repeat(5000)),
    called("c", "d"),
    result("c"),
    hint("Hurry"),
    result("d"),
  ];
  assert.equal(coveredBy(journal, windowFor(4000)), 4);
});

Deno.test("bytes decide what stays, not characters", () => {
  const journal = [started, said("x"), said("é".repeat(1000)), said("x")];
  assert.equal(coveredBy(journal, windowFor(2000)), 3);
  assert.equal(coveredBy(journal, windowFor(2300)), null);
});

for (
  const [media_type, tokens] of [
    ["image/png", IMAGE_TOKENS_MAX],
    ["application/pdf", DOCUMENT_TOKENS_MAX],
  ] as const
) {
  Deno.test(`a conversation that is long by what its results show (${media_type}) is summarised, however few its words`, () => {
    const journal = [
      started,
      ...["a", "b", "c"].flatMap((id) => [called(id), pictured(id, id, media_type)]),
    ];
    // A quarter of it holds two of them and all words.
    assert.equal(coveredBy(journal, 4 * (2 * tokens + 1000)), 3);
    assert.equal(coveredBy(journal, 4 * (2 * tokens - 1)), 5);
    assert.equal(coveredBy(journal, 4 * (3 * tokens + 1000)), null);
  });
}

Deno.test("nothing is covered while the task has no turns, however long a hint is", () => {
  assert.equal(coveredBy([], windowFor(10)), null);
  assert.equal(coveredBy([started, hint("x".repeat(5000))], windowFor(10)), null);
});

Deno.test("nothing is covered when all turns would stay", () => {
  const journal = [started, ...turns(3, 1000)];
  assert.equal(coveredBy(journal, windowFor(bytesOf(journal))), null);
  assert.equal(coveredBy(journal, Infinity), null);
});

Deno.test("everything is covered when even the last turn is too long", () => {
  const journal = [started, ...turns(3, 1000), said("x".repeat(5000)), hint("Hurry")];
  assert.equal(coveredBy(journal, windowFor(4000)), journal.length);
  const single = [started, said("x".repeat(5000))];
  assert.equal(coveredBy(single, windowFor(4000)), single.length);
});

Deno.test("turns that were covered before are not kept, covered or counted again", () => {
  const journal = [started, ...turns(10, 1000)];
  const covers = coveredBy(journal, windowFor(3500))!;
  assert.equal(covers, journal.length - 6);
  const shorter = [...journal, compacted(covers)];
  // The three that stayed would all stay again: nothing is gained.
  assert.equal(coveredBy(shorter, windowFor(3500)), null);
  assert.equal(coveredBy(shorter, windowFor(100_000)), null);
  const grown = [...shorter, ...turns(5, 1000, "later")];
  assert.equal(coveredBy(grown, windowFor(2500)), grown.length - 4);
});

Deno.test("nothing is covered again as long as no turn has come since", () => {
  const journal = [started, ...turns(3, 1000)];
  const all = [...journal, compacted(journal.length), hint("x".repeat(5000))];
  assert.equal(coveredBy(all, windowFor(100)), null);
  assert.equal(coveredBy([...all, said("x".repeat(5000))], windowFor(100)), all.length + 1);
});

Deno.test("of several compactions the newest says which turns are left", () => {
  const first = [started, ...turns(4, 1000)];
  const second = [...first, compacted(first.length), ...turns(4, 1000)];
  const journal = [...second, compacted(second.length), ...turns(2, 1000)];
  assert.equal(coveredBy(journal, windowFor(2500)), null);
  assert.equal(coverOf(second[first.length]), first.length);
});

Deno.test("the part to be summarised is what is covered, with the summary that is in it", () => {
  const journal = [started, ...turns(2, 10)];
  assert.deepEqual(coveredPart(journal, 3), journal.slice(0, 3));
  const shorter = [...journal, compacted(3), ...turns(2, 10)];
  assert.deepEqual(coveredPart(shorter, 8), shorter.slice(0, 8));
  assert.deepEqual(coveredPart(shorter, shorter.length), shorter);
});

Deno.test("a second summary does not forget the first one, when turns stay that the first had left", () => {
  const old = [started, said("First I count"), called("a"), result("a")];
  const kept = [said("Kept then, covered now"), called("b"), result("b")];
  const newest = [said("Kept both times")];
  const journal = [...old, ...kept, ...newest, compacted(old.length, "The wolf is in the barn")];
  const covers = old.length + kept.length;
  const messages = conversation(coveredPart(journal, covers));
  const words = JSON.stringify(messages);
  assert.match(words, /The wolf is in the barn/);
  assert.match(words, /Kept then, covered now/);
  assert.match(words, /<plan>/);
  assert.doesNotMatch(words, /"a"|Kept both times/);
  assert.equal(texts(messages[0]).filter((text) => text.includes("<summary>")).length, 1);
});

Deno.test("a plan is the first words of the agent, without what it thought or called", () => {
  const journal = [
    started,
    called("a"),
    said("  \n"),
    { type: "model.replied", content: [{ type: "thinking", thinking: "Hm", signature: "E" }] },
    {
      type: "model.replied",
      content: [
        { type: "text", text: "First I count," },
        { type: "tool_use", id: "b", name: "read_file", input: {} },
        { type: "text", text: "then I sleep." },
      ],
    },
    said("Something else"),
  ];
  assert.equal(planOf(journal), "First I count,\nthen I sleep.");
});

Deno.test("an agent that never said a word has no plan", () => {
  assert.equal(planOf([]), null);
  assert.equal(planOf([started, hint("Hurry"), called("a"), result("a")]), null);
});

Deno.test("a long plan is cut to its beginning", () => {
  const plan = planOf([said("1".repeat(PLAN_CHARS_MAX) + "2")]);
  assert.equal(plan, "1".repeat(PLAN_CHARS_MAX));
});

Deno.test("a plan that is cut through a sheep is still text that the API takes", () => {
  const plan = planOf([said("x" + "🐑".repeat(PLAN_CHARS_MAX))])!;
  assert.ok(plan.isWellFormed());
  assert.equal(plan.length, PLAN_CHARS_MAX);
});

// The request for a summary.

const SPACIOUS = 1_000_000;

Deno.test("a summary is asked for with the same prompt and tools, so that they are cached, without calls", () => {
  for (const web of [true, false]) {
    const request = asked([started], { web });
    const covered = conversation([started, called("a"), result("a")]);
    const asking = summaryRequest(request, covered, SPACIOUS, 500);
    const { messages: _, ...rest } = asking;
    const { messages: __, ...before } = request;
    assert.deepEqual(rest, { ...before, calls: false, max_tokens: 500 });
    assert.deepEqual(asking.messages.slice(0, 2), covered.slice(0, 2));
  }
});

Deno.test("the wish for a summary stands behind the results when the conversation ends in them", () => {
  const covered = conversation([started, called("a"), result("a"), hint("Hurry")]);
  const { messages } = summaryRequest(asked([]), covered, SPACIOUS, 500);
  assert.equal(messages.length, covered.length);
  const last = messages.at(-1)!;
  assert.equal(last.role, "user");
  assert.deepEqual(last.content.slice(0, -1), covered.at(-1)!.content);
  assert.match(texts(last).at(-1)!, /Write a summary/);
});

Deno.test("the wish for a summary is a message of its own behind a reply", () => {
  const covered = conversation([started, said("I wait")]);
  const { messages } = summaryRequest(asked([]), covered, SPACIOUS, 500);
  assert.deepEqual(messages.slice(0, -1), covered);
  assert.equal(messages.at(-1)!.role, "user");
  assert.match(texts(messages.at(-1)).join(), /^The conversation .* Write a summary/);
});

Deno.test("a conversation that fits is summarised without a cut", () => {
  const long = result("a", "x".repeat(2 * COMPACTED_CHARS_MAX));
  const covered = conversation([started, called("a"), long, said("Read"), hint("Go on")]);
  const { messages } = summaryRequest(asked([]), covered, SPACIOUS, 500);
  assert.deepEqual(messages.slice(0, -1), covered.slice(0, -1));
});

Deno.test("results of a conversation that does not fit lose their middle", () => {
  const content = `head${"x".repeat(100_000)}tail`;
  const covered = conversation([started, called("a", "b"), result("a", content), result("b")]);
  const { messages } = summaryRequest(asked([]), covered, 50_000, 500);
  const [cut, short] = results(messages.at(-1));
  assert.match(cut.content as string, /^headx+\n…\nx+tail$/);
  assert.equal(cut.content.length, COMPACTED_CHARS_MAX + 3);
  assert.equal(short.content, "result of b");
});

Deno.test("results are cut shorter and shorter until a summary's request fits its window", () => {
  const ids = Array.from({ length: 30 }, (_, index) => `call-${index}`);
  const journal = [
    started,
    ...ids.flatMap((id) => [called(id), result(id, "é".repeat(30_000))]),
  ];
  const covered = conversation(journal);
  for (const context_tokens of [400_000, 100_000, 30_000, 10_000]) {
    const request = summaryRequest(asked([]), covered, context_tokens, 1000);
    const { likely } = sizeOf(request, []);
    assert.ok(likely + 1000 <= context_tokens, `${likely} of ${context_tokens}`);
    const answered = request.messages.flatMap((message) => results(message));
    assert.deepEqual(answered.map(({ tool_use_id }) => tool_use_id), ids);
    assert.ok(answered.every(({ content }) => content.length >= COMPACTED_CHARS_LEAST));
    assert.deepEqual(
      request.messages.filter(({ role }) => role === "assistant"),
      covered.filter(({ role }) => role === "assistant"),
    );
  }
});

/** What may be sent when a summary is asked for: half of what would fit by its common size. */
const roomIn = (context_tokens: number, max_tokens: number) =>
  (context_tokens - max_tokens) * TOKEN_BYTES / 2;
/** Bytes of a request without the wish that stands at its end. */
const bytesIn = ({ system, tools, messages }: ModelRequest) =>
  bytesOf(system) + bytesOf(tools) + bytesOf(messages) - bytesOf(messages.at(-1)!.content.at(-1));

Deno.test("a file that was written whole in a call's arguments does not keep its task from a summary", () => {
  const input = { path: "sheep.txt", content: `head${"x".repeat(900_000)}tail`, lines: 3 };
  const journal = [
    started,
    { type: "model.replied", content: [{ type: "tool_use", id: "a", name: "write_file", input }] },
    result("a"),
  ];
  const request = summaryRequest(asked([]), conversation(journal), 50_000, 500);
  assert.ok(bytesIn(request) <= roomIn(50_000, 500));
  const [call] = callsOf(
    request.messages.flatMap((message) => message.role === "assistant" ? message.content : []),
  );
  const { content, ...others } = call.input as typeof input;
  assert.match(content, /^headx+\n…\nx+tail$/);
  assert.equal(content.length, COMPACTED_CHARS_MAX + 3);
  assert.deepEqual(others, { path: "sheep.txt", lines: 3 });
});

Deno.test("arguments that are long lists or objects are cut as their JSON", () => {
  const input = {
    edits: Array.from({ length: 20_000 }, (_, line) => ({ line })),
    deep: { a: [1] },
  };
  const journal = [
    started,
    { type: "model.replied", content: [{ type: "tool_use", id: "a", name: "edit", input }] },
    result("a"),
  ];
  const { messages } = summaryRequest(asked([]), conversation(journal), 50_000, 500);
  const cut = callsOf(messages[1].content as ReplyBlock[])[0].input as Record<string, unknown>;
  assert.match(cut.edits as string, /^\[\{"line":0\}.*\n…\n.*\{"line":19999\}\]$/);
  assert.deepEqual(cut.deep, { a: [1] });
});

Deno.test("broken arguments, which are never sent, do not have results cut", () => {
  const broken = `{"content": ${"x".repeat(200_000)}`;
  const call = { type: "tool_use", id: "a", name: "write_file", input: {}, broken };
  const long = "y".repeat(2 * COMPACTED_CHARS_MAX);
  const journal = [started, { type: "model.replied", content: [call] }, result("a", long)];
  const { messages } = summaryRequest(asked([]), conversation(journal), 50_000, 500);
  assert.equal(results(messages.at(-1))[0].content.length, long.length);
});

Deno.test("long documents leave less room for what is to be summarised", () => {
  const system = [{ type: "text" as const, text: "x".repeat(60_000) }];
  const covered = conversation([started, called("a"), result("a", "y".repeat(60_000))]);
  const short = summaryRequest(asked([]), covered, 60_000, 500);
  assert.equal(results(short.messages.at(-1))[0].content.length, 60_000);
  const request = summaryRequest(asked([], { system }), covered, 60_000, 500);
  assert.ok(bytesIn(request) <= roomIn(60_000, 500));
  assert.equal(results(request.messages.at(-1))[0].content.length, COMPACTED_CHARS_MAX + 3);
});

Deno.test("results that do not fit in any cut are cut to little, and not given back whole", () => {
  const ids = Array.from({ length: 100 }, (_, index) => `call-${index}`);
  const journal = [started, ...ids.flatMap((id) => [called(id), result(id, "x".repeat(30_000))])];
  for (const context_tokens of [3000, 600, 10]) {
    const { messages } = summaryRequest(asked([]), conversation(journal), context_tokens, 500);
    const answered = messages.flatMap((message) => results(message));
    assert.equal(answered.length, ids.length);
    for (const { content } of answered) {
      assert.ok(content.length >= COMPACTED_CHARS_LEAST, String(content.length));
      assert.ok(content.length <= 2 * COMPACTED_CHARS_LEAST + 3, String(content.length));
    }
  }
});

Deno.test("a result that is cut through two sheep is still text that the API takes", () => {
  const herd = `x${"🐑".repeat(60_000)}y`;
  const call = { type: "tool_use", id: "a", name: "write_file", input: { content: herd } };
  const journal = [started, { type: "model.replied", content: [call] }, result("a", herd)];
  const { messages } = summaryRequest(asked([]), conversation(journal), 60_000, 500);
  const cut = [
    results(messages.at(-1))[0].content,
    (callsOf(messages[1].content as ReplyBlock[])[0].input as { content: string }).content,
  ] as string[];
  for (const text of cut) {
    assert.equal(text.length, COMPACTED_CHARS_MAX + 3);
    assert.ok(text.isWellFormed());
  }
});

Deno.test("a result that is cut keeps its error and the words beside its pictures", () => {
  const covered: ModelMessage[] = [{
    role: "user",
    content: [{
      type: "tool_result",
      tool_use_id: "a",
      is_error: true,
      content: [{ type: "text", text: "A sheep" }, media("image", 50_000)],
    }],
  }];
  const { messages } = summaryRequest(asked([]), covered, 10_000, 500);
  assert.deepEqual(results(messages[0]), [
    { type: "tool_result", tool_use_id: "a", is_error: true, content: "A sheep" },
  ]);
});

Deno.test("the conversation itself is not cut when its summary is asked for", () => {
  const covered = conversation([started, called("a"), result("a", "x".repeat(100_000))]);
  const before = structuredClone(covered);
  summaryRequest(asked([]), covered, 10_000, 500);
  assert.deepEqual(covered, before);
});

// The conversation after a compaction.

Deno.test("a compacted conversation begins with plan and summary, in the words of the user", () => {
  const journal = [started, said("First I count"), called("a"), result("a"), compacted(4, "Two")];
  const [first, ...others] = conversation(journal);
  assert.deepEqual(others, []);
  assert.equal(first.role, "user");
  const [begin, plan, summary] = texts(first);
  assert.deepEqual(conversation([started]).map(texts), [[begin]]);
  assert.match(plan, /<plan>\nFirst I count\n<\/plan>/);
  assert.match(summary, /<summary>\nTwo\n<\/summary>/);
});

Deno.test("a compacted conversation of an agent without words has no plan", () => {
  const [first] = conversation([started, called("a"), result("a"), compacted(3)]);
  assert.equal(first.content.length, 2);
  assert.doesNotMatch(texts(first).join(), /<plan>/);
});

Deno.test("turns that are not covered stay as they were, those covered are gone", () => {
  const old = [started, said("Old words"), called("a"), result("a")];
  const late = [called("b", "c"), result("c"), result("b"), said("New words"), hint("Hurry")];
  const messages = conversation([...old, ...late, compacted(old.length)]);
  assert.deepEqual(messages.slice(1), conversation([started, ...late]).slice(1));
  assert.doesNotMatch(JSON.stringify(messages), /"a"/);
});

Deno.test("a summary stands before the turns that stay, though their replies tell of a prompt without it", () => {
  const old = [started, said("Old words"), called("a"), result("a")];
  const late = [counted(old, { input_tokens: 7000 }, "b"), result("b")];
  const [first, ...others] = conversation([...old, ...late, compacted(old.length, "Two sheep")]);
  assert.equal(first.role, "user");
  assert.match(texts(first).join(), /<summary>\nTwo sheep\n<\/summary>/);
  assert.deepEqual(others.map(({ role }) => role), ["assistant", "user"]);
  assert.deepEqual(texts(others[1]), []);
});

Deno.test("the plan stays in the conversation through any number of compactions", () => {
  const journal: Message[] = [started, said("First I count")];
  for (const round of [1, 2, 3]) {
    journal.push(...turns(2, 10), compacted(journal.length + 4, `Summary ${round}`));
    const [first] = conversation(journal);
    assert.equal(texts(first).filter((text) => text.includes("First I count")).length, 1);
    assert.equal(texts(first).filter((text) => text.includes("<summary>")).length, 1);
    assert.match(texts(first).join(), new RegExp(`Summary ${round}`));
  }
});

Deno.test("hints that came after what is covered are still there, in their order", () => {
  const journal = [
    started,
    called("a"),
    hint("covered"),
    result("a"),
    hint("while it was summarised"),
    compacted(4),
    hint("after it"),
    called("b"),
    result("b"),
    hint("later"),
  ];
  const messages = conversation(journal);
  const [first, , last] = messages;
  assert.deepEqual(messages.map(({ role }) => role), ["user", "assistant", "user"]);
  assert.deepEqual(texts(first).slice(2), [
    "A person says: while it was summarised",
    "A person says: after it",
  ]);
  assert.deepEqual(texts(last), ["A person says: later"]);
  assert.doesNotMatch(JSON.stringify(messages), /covered"/);
});

Deno.test("a result that came after the compaction answers a call that stayed", () => {
  const journal = [
    started,
    called("a"),
    result("a"),
    called("b", "c"),
    result("b"),
    compacted(3),
    result("c"),
  ];
  const last = conversation(journal).at(-1);
  assert.deepEqual(results(last).map(({ content }) => content), ["result of b", "result of c"]);
});

Deno.test("a result that came after its call was covered does not reach the model", () => {
  const messages = conversation([started, called("a"), compacted(2), result("a"), hint("x")]);
  assert.deepEqual(messages.flatMap((message) => results(message)), []);
  assert.equal(messages.length, 1);
});

/** A task's story, compacted whenever that would gain something; calls each look at it on the way. */
function story(seed: number, look: (journal: Message[]) => void): number {
  const random = mulberry32(seed);
  const upTo = (most: number) => Math.floor(random() * (most + 1));
  const journal: Message[] = [started];
  let [open, ids, compactions]: [string[], number, number] = [[], 0, 0];
  /** A reply to the prompt of now, or of a little earlier. */
  const replied = (reply: Message): Message => {
    const entries = Math.max(1, 1 + last(journal), journal.length - upTo(2));
    return { ...reply, prompt: { entries, text_bytes: 0, media_tokens: 0 } };
  };
  for (let step = 0; step < 60; step++) {
    const chance = random();
    if (chance < 0.15) journal.push(hint(`hint ${step}`));
    else if (chance < 0.5 && open.length > 0) {
      // In any order, and some never or too late.
      journal.push(result(open.splice(upTo(open.length - 1), 1)[0], "x".repeat(upTo(800))));
    } else if (chance < 0.9) {
      const calls = Array.from({ length: upTo(3) }, () => `call-${++ids}`);
      journal.push(replied(calls.length > 0 ? called(...calls) : said("x".repeat(upTo(800)))));
      open = [...open, ...calls];
    } else {
      const room = 1000 + upTo(2000);
      const covers = coveredBy(journal, windowFor(room));
      if (covers === null) continue;
      assert.ok(covers === journal.length || weightOf(journal.slice(covers)) <= room);
      assert.ok(covers === journal.length || journal[covers].type === "model.replied");
      const before = journal.findLast(({ type }) => type === "context.compacted");
      const summarised = JSON.stringify(conversation(coveredPart(journal, covers)));
      if (before) assert.ok(summarised.includes(`>\\n${before.summary}\\n<`), `seed ${seed}`);
      journal.push(compacted(covers, `summary ${++compactions}`));
    }
    look(journal);
  }
  return compactions;
}

/** Where the newest reply or summary stands. */
function last(journal: readonly Message[]): number {
  return journal.findLastIndex(({ type }) =>
    type === "model.replied" || type === "context.compacted"
  );
}

Deno.test("however a conversation was compacted, it begins with the user and its calls are answered", () => {
  let compactions = 0;
  for (let seed = 1; seed <= 200; seed++) {
    compactions += story(seed, (journal) => {
      const messages = conversation(journal);
      assert.equal(messages[0].role, "user", `seed ${seed}`);
      messages.forEach((message, at) => {
        assert.ok(message.content.length > 0, `seed ${seed}`);
        const before = messages[at - 1];
        const calls = before?.role === "assistant" ? callsOf(before.content) : [];
        assert.deepEqual(
          results(message).map(({ tool_use_id }) => tool_use_id),
          calls.map(({ id }) => id),
          `seed ${seed}`,
        );
      });
      const newest = journal.findLast(({ type }) => type === "context.compacted");
      const hints = journal.slice(newest ? coverOf(newest) : 0)
        .flatMap(({ type, text }) => type === "hint" ? [`A person says: ${text}`] : []);
      const there = messages.flatMap((message) => message.role === "user" ? texts(message) : [])
        .filter((text) => text.startsWith("A person says: "));
      assert.deepEqual(there, hints, `seed ${seed}`);
    });
  }
  assert.ok(compactions > 200, `tries too little: ${compactions}`);
});
