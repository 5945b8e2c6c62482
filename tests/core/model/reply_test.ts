import assert from "node:assert/strict";
import {
  callsOf,
  type ModelReply,
  NO_USAGE,
  type Piece,
} from "../../../runtime/core/model/messages.ts";
import { ReplyReader, type StreamEvent } from "../../../runtime/core/model/reply.ts";

const started = (usage: StreamEvent["usage"] = { input_tokens: 10, output_tokens: 1 }) => ({
  type: "message_start",
  message: { model: "claude", usage },
});
const block = (index: number, content_block: Record<string, unknown>): StreamEvent => ({
  type: "content_block_start",
  index,
  content_block,
});
const delta = (index: number, type: string, fields: Record<string, unknown>): StreamEvent => ({
  type: "content_block_delta",
  index,
  delta: { type, ...fields },
});
const ended = (stop_reason: string | null, usage: StreamEvent["usage"] = {}): StreamEvent => ({
  type: "message_delta",
  delta: { stop_reason },
  usage,
});

const text = (index: number, ...pieces: string[]): StreamEvent[] => [
  block(index, { type: "text", text: "" }),
  ...pieces.map((text) => delta(index, "text_delta", { text })),
];
const call = (index: number, id: string, ...pieces: string[]): StreamEvent[] => [
  block(index, { type: "tool_use", id, name: "read_file", input: {} }),
  ...pieces.map((partial_json) => delta(index, "input_json_delta", { partial_json })),
];

/** Everything that the reader tells on its way through these events. */
function shown(events: StreamEvent[], reader = new ReplyReader()): Piece[] {
  return events.flatMap((event) => reader.take(event));
}

/** The reply of a stream with this middle. */
function reply(events: StreamEvent[], stop_reason = "end_turn"): ModelReply {
  const reader = new ReplyReader();
  shown([started(), ...events, ended(stop_reason)], reader);
  return reader.finish();
}

Deno.test("a reply names what answered and why it ended", () => {
  const { model, stop_reason } = reply(text(0, "Hello"), "stop_sequence");
  assert.equal(model, "claude");
  assert.equal(stop_reason, "stop_sequence");
});

Deno.test("text that comes in pieces is one block", () => {
  assert.deepEqual(reply(text(0, "Hel", "lo ", "there")).content, [
    { type: "text", text: "Hello there" },
  ]);
});

Deno.test("text that a block begins with stands before its pieces", () => {
  const events = [block(0, { type: "text", text: "Hel" }), delta(0, "text_delta", { text: "lo" })];
  assert.deepEqual(reply(events).content, [{ type: "text", text: "Hello" }]);
  assert.deepEqual(shown(events), [
    { type: "block", kind: "text" },
    { type: "delta", text: "Hel" },
    { type: "delta", text: "lo" },
  ]);
});

Deno.test("thinking is kept with its signature", () => {
  const { content } = reply([
    block(0, { type: "thinking", thinking: "", signature: "" }),
    delta(0, "thinking_delta", { thinking: "Let me " }),
    delta(0, "thinking_delta", { thinking: "see" }),
    delta(0, "signature_delta", { signature: "Eo8" }),
    delta(0, "signature_delta", { signature: "Cg==" }),
    ...text(1, "Done"),
  ]);
  assert.deepEqual(content, [
    { type: "thinking", thinking: "Let me see", signature: "Eo8Cg==" },
    { type: "text", text: "Done" },
  ]);
});

Deno.test("arguments that come in pieces are read when they are whole, each call by itself", () => {
  const first = call(0, "a", '{"pa', 'th":"one', '.txt"}');
  const second = call(1, "b", "", '{"lines":', "[1,2]}");
  // Pieces of two blocks side by side: their index tells whose they are.
  const mixed = [
    first[0],
    second[0],
    first[1],
    second[1],
    first[2],
    second[2],
    first[3],
    second[3],
  ];
  const expected = [
    { type: "tool_use", id: "a", name: "read_file", input: { path: "one.txt" } },
    { type: "tool_use", id: "b", name: "read_file", input: { lines: [1, 2] } },
  ];
  assert.deepEqual(reply([...first, ...second], "tool_use").content, expected);
  assert.deepEqual(reply(mixed, "tool_use").content, expected);
});

Deno.test("blocks stand in the order of their index, and a gap leaves none behind", () => {
  const { content } = reply([...text(3, "last"), ...text(1, "first")]);
  assert.deepEqual(content, [{ type: "text", text: "first" }, { type: "text", text: "last" }]);
});

Deno.test("a call without a piece of arguments keeps what its block began with", () => {
  const input = { path: "one.txt" };
  const whole = { type: "tool_use", id: "a", name: "read_file", input };
  assert.deepEqual(reply([block(0, whole)], "tool_use").content, [whole]);
  assert.deepEqual(reply(call(0, "a"), "tool_use").content, [{ ...whole, input: {} }]);
});

Deno.test("what only the provider reads is kept as it came", () => {
  const found = {
    type: "web_search_tool_result",
    tool_use_id: "s",
    content: [{ type: "web_search_result", url: "https://a.example", encrypted_content: "Eq==" }],
  };
  const redacted = { type: "redacted_thinking", data: "EmwK" };
  const { content } = reply([
    block(0, redacted),
    block(1, { type: "server_tool_use", id: "s", name: "web_search", input: {} }),
    delta(1, "input_json_delta", { partial_json: '{"query":' }),
    delta(1, "input_json_delta", { partial_json: '"sheep"}' }),
    block(2, found),
  ]);
  assert.deepEqual(content, [
    redacted,
    { type: "server_tool_use", id: "s", name: "web_search", input: { query: "sheep" } },
    found,
  ]);
});

Deno.test("citations are collected beside their text", () => {
  const [one, two] = [{ type: "char_location", cited_text: "a" }, { type: "x", cited_text: "b" }];
  for (const begun of [{}, { citations: null }, { citations: [] }]) {
    const { content } = reply([
      block(0, { type: "text", text: "", ...begun }),
      delta(0, "text_delta", { text: "It is so" }),
      delta(0, "citations_delta", { citation: one }),
      delta(0, "citations_delta", { citation: two }),
    ]);
    assert.deepEqual(content, [{ type: "text", text: "It is so", citations: [one, two] }]);
  }
});

Deno.test("arguments that are no JSON are kept as they came, and the call has empty input", () => {
  assert.deepEqual(reply(call(0, "a", '{"path":', " one.txt}"), "tool_use").content, [
    { type: "tool_use", id: "a", name: "read_file", input: {}, broken: '{"path": one.txt}' },
  ]);
});

for (const json of ["[1]", '"one.txt"', "7", "null", "true", " "]) {
  Deno.test(`arguments that are ${JSON.stringify(json)}, no object, are broken`, () => {
    assert.deepEqual(reply(call(0, "a", json), "tool_use").content, [
      { type: "tool_use", id: "a", name: "read_file", input: {}, broken: json },
    ]);
  });
}

Deno.test("a broken call leaves the calls beside it whole", () => {
  const { content } = reply([...call(0, "a", "{"), ...call(1, "b", '{"path":"b"}')], "tool_use");
  assert.deepEqual(content.map((block) => "broken" in block), [true, false]);
  assert.deepEqual(callsOf(content)[1].input, { path: "b" });
});

for (const stop_reason of ["max_tokens", "model_context_window_exceeded"]) {
  Deno.test(`a call that is cut off by ${stop_reason} is dropped, those before it stay`, () => {
    const events = [
      ...text(0, "I read"),
      ...call(1, "a", '{"path":"a"}'),
      ...call(2, "b", '{"pa'),
    ];
    const { content } = reply(events, stop_reason);
    assert.deepEqual(content.map(({ type }) => type), ["text", "tool_use"]);
    assert.deepEqual(callsOf(content).map(({ id }) => id), ["a"]);
  });

  Deno.test(`text that is cut off by ${stop_reason} stays, and so does the call before it`, () => {
    const { content } = reply([...call(0, "a", "{}"), ...text(1, "And th")], stop_reason);
    assert.deepEqual(content.map(({ type }) => type), ["tool_use", "text"]);
  });
}

Deno.test("a broken call at the end of a reply that was not cut off stays", () => {
  assert.equal(reply(call(0, "a", '{"pa'), "tool_use").content.length, 1);
});

for (const stop_reason of ["max_tokens", "model_context_window_exceeded"]) {
  Deno.test(`a search of the web that is cut off by ${stop_reason} is not given back without its result`, () => {
    const search = { type: "server_tool_use", id: "s", name: "web_search", input: {} };
    const events = [
      ...text(0, "I search"),
      block(1, search),
      delta(1, "input_json_delta", { partial_json: '{"que' }),
    ];
    assert.deepEqual(reply(events, stop_reason).content, [{ type: "text", text: "I search" }]);
  });
}

Deno.test("a search of the web that has found something stays when what follows is cut off", () => {
  const search = { type: "server_tool_use", id: "s", name: "web_search", input: {} };
  const found = { type: "web_search_tool_result", tool_use_id: "s", content: [] };
  assert.deepEqual(reply([block(0, search), block(1, found)], "max_tokens").content, [
    search,
    found,
  ]);
});

Deno.test("a call of the provider's own, whose arguments are no JSON, has no field that the API refuses", () => {
  const search = { type: "server_tool_use", id: "s", name: "web_search", input: {} };
  const events = [block(0, search), delta(0, "input_json_delta", { partial_json: "{query}" })];
  assert.deepEqual(reply([...events, ...text(1, "Hm")]).content, [
    search,
    { type: "text", text: "Hm" },
  ]);
});

Deno.test("blank text between two calls, which the API sends but refuses, is left out", () => {
  const events = [
    ...text(0),
    ...call(1, "a", "{}"),
    ...text(2, "\n", " \n"),
    ...call(3, "b", "{}"),
    ...text(4, " So be it\n"),
  ];
  const { content } = reply(events, "tool_use");
  assert.deepEqual(content.map(({ type }) => type), ["tool_use", "tool_use", "text"]);
  assert.deepEqual(content.at(-1), { type: "text", text: " So be it\n" });
});

Deno.test("a whole call stays when it was blank text behind it that was cut off", () => {
  const { content } = reply([...call(0, "a", "{}"), ...text(1, "\n")], "max_tokens");
  assert.deepEqual(callsOf(content).map(({ id }) => id), ["a"]);
});

Deno.test("a reply without blocks is empty", () => {
  assert.deepEqual(reply([]).content, []);
});

Deno.test("tokens of the cache, read and written, count as part of the prompt", () => {
  const reader = new ReplyReader();
  const usage = {
    input_tokens: 3,
    cache_read_input_tokens: 1000,
    cache_creation_input_tokens: 200,
    output_tokens: 1,
  };
  shown([started(usage), ended("end_turn", { output_tokens: 40 })], reader);
  assert.deepEqual(reader.finish().usage, {
    input_tokens: 1203,
    cache_read_tokens: 1000,
    cache_write_tokens: 200,
    output_tokens: 40,
    web_searches: 0,
  });
});

Deno.test("a later count replaces the one before and is not added to it", () => {
  const reader = new ReplyReader();
  const later = {
    input_tokens: 5,
    cache_read_input_tokens: 70,
    output_tokens: 9,
    server_tool_use: { web_search_requests: 2 },
  };
  const first = { input_tokens: 3, cache_read_input_tokens: 50, output_tokens: 1 };
  shown([started(first), ended(null, { output_tokens: 4 }), ended("end_turn", later)], reader);
  assert.deepEqual(reader.finish().usage, {
    input_tokens: 75,
    cache_read_tokens: 70,
    cache_write_tokens: 0,
    output_tokens: 9,
    web_searches: 2,
  });
});

Deno.test("a count that is null or left out stands as it was", () => {
  const reader = new ReplyReader();
  const first = {
    input_tokens: 3,
    cache_read_input_tokens: 50,
    output_tokens: 1,
    server_tool_use: { web_search_requests: 1 },
  };
  const later = { input_tokens: null, cache_creation_input_tokens: null, server_tool_use: null };
  shown([started(first), ended("end_turn", later)], reader);
  assert.deepEqual(reader.finish().usage, {
    input_tokens: 53,
    cache_read_tokens: 50,
    cache_write_tokens: 0,
    output_tokens: 1,
    web_searches: 1,
  });
});

Deno.test("a stream that counts nothing has used nothing", () => {
  const reader = new ReplyReader();
  const events = [{ type: "message_start", message: { model: "local" } }, ended("end_turn")];
  shown([...events, { type: "message_delta" }], reader);
  assert.deepEqual(reader.finish().usage, NO_USAGE);
});

Deno.test("a stop reason that is null later does not undo the one before", () => {
  const reader = new ReplyReader();
  shown([started(), ended("end_turn"), ended(null)], reader);
  assert.equal(reader.finish().stop_reason, "end_turn");
});

Deno.test("what can be shown comes piece by piece in the order of the stream", () => {
  const events = [
    started({ input_tokens: 3, cache_read_input_tokens: 7 }),
    block(0, { type: "thinking", thinking: "", signature: "" }),
    delta(0, "thinking_delta", { thinking: "Hm" }),
    delta(0, "signature_delta", { signature: "Eo8" }),
    { type: "content_block_stop", index: 0 },
    ...text(1, "I ", "read"),
    delta(1, "citations_delta", { citation: {} }),
    ...call(2, "a", "", '{"path":', '"a"}'),
    block(3, { type: "server_tool_use", id: "s", name: "web_search", input: {} }),
    delta(3, "input_json_delta", { partial_json: "{}" }),
    block(4, { type: "web_search_tool_result", tool_use_id: "s", content: [] }),
    ended("tool_use", { output_tokens: 5 }),
    { type: "message_stop" },
  ];
  const usage = { ...NO_USAGE, input_tokens: 10, cache_read_tokens: 7 };
  assert.deepEqual(shown(events), [
    { type: "begun" },
    { type: "usage", model: "claude", usage },
    { type: "block", kind: "thinking" },
    { type: "delta", text: "Hm" },
    { type: "block", kind: "text" },
    { type: "delta", text: "I " },
    { type: "delta", text: "read" },
    { type: "block", kind: "tool_input", name: "read_file" },
    { type: "delta", text: '{"path":' },
    { type: "delta", text: '"a"}' },
    { type: "block", kind: "tool_input", name: "web_search" },
    { type: "delta", text: "{}" },
    { type: "usage", model: "claude", usage: { ...usage, output_tokens: 5 } },
  ]);
});

Deno.test("events and deltas of unknown kinds change nothing", () => {
  const plain = [started(), ...text(0, "Hello")];
  const strange = [
    { type: "ping" },
    { type: "weather_report", index: 9, delta: { type: "rain" } },
    delta(0, "rain_delta", { rain: 3 }),
  ];
  assert.deepEqual(shown([...plain, ...strange]), shown(plain));
  assert.deepEqual(reply([...text(0, "Hello"), ...strange]), reply(text(0, "Hello")));
});

Deno.test("a block of an unknown kind is kept and not shown", () => {
  const dance = { type: "dance", steps: 3 };
  assert.deepEqual(shown([block(0, dance)]), []);
  assert.deepEqual(reply([block(0, dance)]).content, [dance]);
});

Deno.test("a block is not changed in the event that brought it", () => {
  const event = block(0, { type: "text", text: "" });
  reply([event, delta(0, "text_delta", { text: "Hello" })]);
  assert.deepEqual(event.content_block, { type: "text", text: "" });
});

const misfits: Record<string, StreamEvent> = {
  "a piece of a block that has not begun": delta(1, "text_delta", { text: "x" }),
  "a piece that does not say of which block": {
    type: "content_block_delta",
    delta: { type: "text_delta", text: "x" },
  },
  "a piece without content": { type: "content_block_delta", index: 0 },
  "a block without an index": {
    type: "content_block_start",
    content_block: { type: "text", text: "" },
  },
  "a block with a number below nothing": block(-1, { type: "text", text: "" }),
  "a block whose number would fill the memory with gaps": block(1000, { type: "text", text: "" }),
  "a block without a kind": { type: "content_block_start", index: 1, content_block: {} },
  "a block without content": { type: "content_block_start", index: 1 },
};
for (const [name, misfit] of Object.entries(misfits)) {
  Deno.test(`${name} makes the stream malformed`, () => {
    const reader = new ReplyReader();
    shown([started(), ...text(0, "Hello")], reader);
    assert.throws(() => reader.take(misfit), /The model's stream is malformed/);
  });
}

Deno.test("the last block that a reply may have is taken", () => {
  assert.deepEqual(reply(text(999, "last")).content, [{ type: "text", text: "last" }]);
});

Deno.test("an answer of a server that does not name its model has begun all the same", () => {
  for (const message of [{}, undefined]) {
    const reader = new ReplyReader();
    const events = [{ type: "message_start", message }, ...text(0, "Hello"), ended("end_turn")];
    const usage = { type: "usage", model: "unnamed", usage: NO_USAGE };
    assert.deepEqual(shown(events, reader).slice(0, 2), [{ type: "begun" }, usage]);
    const { model, content } = reader.finish();
    assert.equal(model, "unnamed");
    assert.deepEqual(content, [{ type: "text", text: "Hello" }]);
  }
});

Deno.test("a stream that ends without a stop reason broke off", () => {
  const reader = new ReplyReader();
  shown([started(), ...text(0, "Hello"), { type: "message_stop" }], reader);
  assert.throws(() => reader.finish(), /The model's stream broke off/);
});

Deno.test("an answer that never began is no stream of events", () => {
  assert.throws(() => new ReplyReader().finish(), /no stream of events/);
  const reader = new ReplyReader();
  shown([{ type: "error" }, ended("end_turn")], reader);
  assert.throws(() => reader.finish(), /no stream of events/);
});
