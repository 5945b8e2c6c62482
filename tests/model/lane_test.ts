/** The lane to a model, with a clock moved by hand; and its limits as a server tells them. */
import assert from "node:assert/strict";
import { BREAKER_FAILURES, BREAKER_FIRST_MS, MODEL_CALLS_MAX } from "../../runtime/core/limits.ts";
import type { ModelCall } from "../../runtime/core/model/messages.ts";
import { Lane, type Passage } from "../../runtime/model/lane.ts";
import { HandClock } from "../support/clock.ts";
import { messagesServer, reply } from "../support/messages_server.ts";
import { end, line } from "../support/talk.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;

/** A lane, and who has passed it so far, in order. */
function begin() {
  const clock = new HandClock();
  const lane = new Lane("model", clock);
  const passed: { readonly name: string; readonly passage: Passage }[] = [];
  const told: string[] = [];
  return {
    clock,
    lane,
    passed,
    told,
    names: () => passed.map(({ name }) => name),
    /** A call of a tree asks to pass. */
    ask: async (name: string, tree_id: string, more: Partial<ModelCall> = {}, signal = never) => {
      const call = { task_id: name, tree_id, priority: 5, input_tokens: 100, ...more } as ModelCall;
      lane.enter(call, signal, (why) => told.push(`${name}: ${why}`)).then(
        (passage) => passed.push({ name, passage }),
        () => told.push(`${name}: left`),
      );
      await settled();
    },
  };
}

/** Lets promises that are resolved already be heard. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** The limits of a provider that takes one request every ten seconds. */
function oneLeft(clock: HandClock, remaining: number) {
  const full_at = clock.now() + (6 - remaining) * 10_000;
  return { requests: { limit: 6, remaining, full_at } };
}

Deno.test("a tree with one call does not wait for all the calls of another", async () => {
  const { clock, ask, passed, names } = begin();
  await ask("first", "busy");
  passed[0].passage.heard(oneLeft(clock, 0));
  for (let index = 0; index < 5; index++) await ask(`busy ${index}`, "busy");
  await ask("other", "quiet");
  for (let index = 0; index < 3; index++) {
    clock.advance(10_000);
    await settled();
  }
  assert.deepEqual(names(), ["first", "busy 0", "other", "busy 1"]);
});

Deno.test("a tree of a high priority gets more of the turns", async () => {
  const { clock, ask, passed, names } = begin();
  await ask("first", "a");
  passed[0].passage.heard(oneLeft(clock, 0));
  for (let index = 0; index < 12; index++) {
    await ask(`low ${index}`, "low", { priority: 0 });
    await ask(`high ${index}`, "high", { priority: 9 });
  }
  for (let index = 0; index < 11; index++) {
    clock.advance(10_000);
    await settled();
  }
  const high = names().filter((name) => name.startsWith("high")).length;
  assert.ok(high >= 9, names().join(", "));
});

Deno.test("a large prompt whose turn it is is not overtaken by small ones", async () => {
  const { clock, ask, passed, names } = begin();
  await ask("first", "a");
  const full_at = clock.now() + 60_000;
  passed[0].passage.heard({ input_tokens: { limit: 60_000, remaining: 0, full_at } });
  await ask("large", "a", { input_tokens: 30_000 });
  await ask("small", "b", { input_tokens: 10 });
  clock.advance(29_000);
  await settled();
  assert.deepEqual(names(), ["first"]);
  clock.advance(2_000);
  await settled();
  assert.deepEqual(names(), ["first", "large", "small"]);
});

Deno.test("no more calls are under way than the bound, and each end lets the next one in", async () => {
  const { lane, ask, passed } = begin();
  for (let index = 0; index < MODEL_CALLS_MAX + 2; index++) await ask(`${index}`, "a");
  assert.equal(passed.length, MODEL_CALLS_MAX);
  assert.equal(lane.view().waiting, 2);
  passed[7].passage.succeeded();
  await settled();
  assert.equal(passed.length, MODEL_CALLS_MAX + 1);
});

Deno.test("a call that is called off while it waits leaves its place to the next", async () => {
  const { clock, ask, passed, names, told } = begin();
  await ask("first", "a");
  passed[0].passage.heard(oneLeft(clock, 0));
  const controller = new AbortController();
  await ask("second", "a", {}, controller.signal);
  await ask("third", "a");
  controller.abort(new Error("no longer wanted"));
  await settled();
  clock.advance(10_000);
  await settled();
  assert.deepEqual(names(), ["first", "third"]);
  assert.ok(told.includes("second: left"));
});

Deno.test("after failures in a row everybody waits, is told why, and one call tries before the others", async () => {
  const { clock, lane, ask, passed, names, told } = begin();
  for (let index = 0; index < BREAKER_FAILURES; index++) {
    await ask(`bad ${index}`, "a");
    passed.at(-1)!.passage.failed(null, "it is ill");
  }
  assert.equal(lane.view().breaker.state, "open");
  await ask("next", "a");
  await ask("after", "b");
  assert.match(told.at(-1)!, /after: model is left alone for a while: it is ill/);
  clock.advance(BREAKER_FIRST_MS);
  await settled();
  assert.deepEqual(names().slice(BREAKER_FAILURES), ["next"]);
  passed.at(-1)!.passage.succeeded();
  await settled();
  assert.deepEqual(names().slice(BREAKER_FAILURES), ["next", "after"]);
  assert.equal(lane.view().breaker.state, "closed");
});

Deno.test("limits in the headers of an answer hold the next call back until there is room", async () => {
  const clock = new HandClock();
  const reset = new Date(clock.now() + 60_000).toISOString();
  await using server = messagesServer(() => {
    const response = reply(end("over"));
    response.headers.set("anthropic-ratelimit-requests-limit", "6");
    response.headers.set("anthropic-ratelimit-requests-remaining", "0");
    response.headers.set("anthropic-ratelimit-requests-reset", reset);
    return response;
  });
  const { ask, model, pieces } = line(server.url, { clock, deadline_ms: 120_000 });
  await ask();
  assert.deepEqual(model.views()[0].limits, { requests: { limit: 6, remaining: 0 } });
  const second = ask();
  await until("the second to wait", () => pieces.some(({ type }) => type === "waiting"));
  assert.equal(server.asked.length, 1);
  clock.advance(9_000);
  assert.equal(model.views()[0].waiting, 1);
  const waits = pieces.length;
  clock.advance(1_000);
  await second;
  assert.equal(server.asked.length, 2);
  // From there on it has to be heard like any other.
  assert.equal(pieces.at(waits)?.type, "asked");
});
