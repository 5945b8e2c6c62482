/** Faults of a provider that pass: the real SDK against a server that fails, and a call that comes through. */
import assert from "node:assert/strict";
import {
  BREAKER_FAILURES,
  BREAKER_MAX_MS,
  MODEL_ATTEMPTS_MAX,
  MODEL_RETRY_FIRST_MS,
  MODEL_RETRY_MAX_MS,
} from "../../runtime/core/limits.ts";
import type { ModelFailure, ModelReply } from "../../runtime/core/model/messages.ts";
import { textOf } from "../../runtime/core/model/messages.ts";
import { HandClock } from "../support/clock.ts";
import { slowness } from "../support/machine.ts";
import {
  bytesOf,
  call,
  events,
  failure,
  messagesServer,
  openStream,
  rawServer,
  reply,
  stream,
  text,
} from "../support/messages_server.ts";
import { end, line } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";
import { onceGiven, until } from "../support/until.ts";

/** So many in a row do not yet make the model be left alone. */
const ATTEMPTS_MAX = BREAKER_FAILURES - 1;
const log: string[] = [];
const talk = talksInTurn({
  patience: { attempts_max: ATTEMPTS_MAX },
  log: (line) => void log.push(line),
});

const HALF = events([text("half a thought")], "end_turn").slice(0, 3);

for (
  const [what, status, type] of [
    ["too many requests (429)", 429, "rate_limit_error"],
    ["an overloaded provider (529)", 529, "overloaded_error"],
    ["a provider's fault (500)", 500, "api_error"],
    ["a provider's timeout (504)", 504, "timeout_error"],
    ["a conflict (409)", 409, "conflict_error"],
  ] as const
) {
  Deno.test(`a call is made again after ${what}`, async () => {
    let asked = 0;
    await using server = messagesServer(() =>
      ++asked < 3 ? failure(status, type, "later") : reply([text("in the end")])
    );
    assert.equal(said(await line(server.url).ask()), "in the end");
    assert.equal(asked, 3);
  });
}

Deno.test("a call is made again after a fault in front of the provider, whose answer is a page", async () => {
  let asked = 0;
  await using server = messagesServer(() =>
    ++asked === 1
      ? new Response("<h1>Bad gateway</h1>", { status: 502, headers: { "retry-after-ms": "1" } })
      : [text("in the end")]
  );
  assert.equal(said(await line(server.url).ask()), "in the end");
});

Deno.test("a call that cannot connect is made again, and comes through once the server is there", async () => {
  const port = freePort();
  const clock = new HandClock();
  const one = line(`http://127.0.0.1:${port}`, { clock });
  const answer = one.ask();
  const refused = await until("a refusal", () => one.pieces.find(({ type }) => type === "waiting"));
  assert.match((refused as { why: string }).why, /cannot be reached.*refused/i);
  await using _server = messagesServer(() => [text("here again")], port);
  clock.advance(MODEL_RETRY_FIRST_MS);
  assert.equal(said(await answer), "here again");
});

Deno.test("a call whose connection is reset before an answer is made again", async () => {
  let connections = 0;
  await using server = rawServer(async (connection) => {
    connections++;
    await connection.read(new Uint8Array(1));
    connection.close();
  });
  const clock = new HandClock();
  const one = line(server.url, { clock });
  const calling = one.ask();
  await until("the second pause", () => {
    if (connections < 2 && clock.waits[0] <= MODEL_RETRY_FIRST_MS) clock.advance(clock.waits[0]);
    return connections >= 2;
  });
  clock.advance(60_000);
  assert.match(failed(await calling).failed, /cannot be reached/);
});

for (
  const [how, breakOff] of [
    // What is unread when a connection is closed makes it a reset.
    ["is reset", (connection: Deno.TcpConn) => connection.close()],
    ["ends", async (connection: Deno.TcpConn) => {
      await connection.read(new Uint8Array(64 * 1024));
      connection.close();
    }],
  ] as const
) {
  Deno.test(`a stream that ${how} in its middle is no reply: it is to be accounted for and asked for anew`, async () => {
    const begun = Promise.withResolvers<void>();
    await using server = rawServer(async (connection) => {
      await connection.read(new Uint8Array(1));
      const bytes = new TextEncoder().encode(bytesOf(HALF));
      await connection.write(
        new TextEncoder().encode(
          "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" +
            `${bytes.length.toString(16)}\r\n`,
        ),
      );
      await connection.write(bytes);
      await begun.promise;
      await breakOff(connection);
    });
    const one = line(server.url);
    const calling = one.ask();
    await until("the first half", () => one.pieces.some(({ type }) => type === "delta"));
    begun.resolve();
    const { failed: reason, concerns } = failed(await calling);
    assert.equal(concerns, "again");
    assert.match(reason, /broke off/);
  });
}

Deno.test("a stream that dies after its start is accounted for and asked for anew", async (t) => {
  let healthy_from = 2;
  let asked = 0;
  await using one = talk(() => ++asked < healthy_from ? stream(HALF) : end("whole"));

  await t.step("until it is whole", async () => {
    const { id, result } = await one.run("x");
    assert.equal(result, "whole");
    assert.equal(asked, 2);
    // Both prompts: of the one that broke off as much as it had said.
    assert.deepEqual((await one.tasks(id)).map(({ input_tokens }) => input_tokens), [2 * (7 + 3)]);
    const replied = (await one.journal(id)).filter(({ type }) => type === "model.replied");
    assert.equal(replied.length, 1);
  });

  await t.step("until it has died too often, and its task fails with the reason", async () => {
    [asked, healthy_from] = [0, Infinity];
    const { id, status, reason } = await one.run("x");
    assert.equal(status, "failed");
    assert.match(reason!, /stream broke off/);
    assert.equal(asked, ATTEMPTS_MAX);
    assert.deepEqual(
      (await one.tasks(id)).map(({ input_tokens }) => input_tokens),
      [asked * (7 + 3)],
    );
  });
});

Deno.test("faults before a reply, replies that broke off and gateways that died are counted together", async () => {
  let asked = 0;
  await using one = talk(({ task }) => {
    if (task === "well") return end("well");
    return ++asked % 2 === 1 ? failure(500, "api_error", "ill") : stream(HALF);
  });
  // Whatever failed before is forgotten with it.
  await one.run("well");
  const { gateway } = one.kernel;
  const ask = gateway.ask.bind(gateway);
  let calls = 0;
  // Every third attempt meets a gateway that dies of it.
  using _mended = { [Symbol.dispose]: () => void (gateway.ask = ask) };
  gateway.ask = (...call) =>
    ++calls % 3 === 0 ? Promise.reject(new Error("The gateway worker is gone: ill")) : ask(...call);
  const { id, status, reason } = await one.run("x");
  assert.equal(status, "failed");
  assert.match(reason!, /ill/);
  assert.equal(calls, ATTEMPTS_MAX);
  assert.equal(asked, 3);
  // The one that broke off.
  assert.deepEqual((await one.tasks(id)).map(({ input_tokens }) => input_tokens), [7 + 3]);
  // The outbox saw one attempt, with an outcome.
  assert.deepEqual(log.filter((line) => line.startsWith("Effect")), []);
});

Deno.test("a turn goes on when the gateway's worker dies in the middle of its reply", async () => {
  const endless = openStream(HALF);
  await using one = talk(() => one.asked.length === 1 ? endless.response : end("whole"));
  const id = await one.begin("x");
  const [{ id: task }] = await one.tasks(id);
  await until("the first half", () => one.kernel.drafts.of(task)?.blocks[0]);
  one.kernel.gateway.crash("killed by the test");
  await until("the end", async () => (await one.tree(id)).result === "whole");
  assert.equal(one.asked.length, 2);
  assert.deepEqual((await one.tasks(id)).map(({ input_tokens }) => input_tokens), [2 * (7 + 3)]);
});

for (
  const [what, broken] of [
    ["breaks off", () => stream(HALF)],
    [
      "says an error in its middle",
      () =>
        stream([...HALF, ["error", { error: { type: "overloaded_error", message: "too much" } }]]),
    ],
    ["goes on with a block that never began", () =>
      stream([
        ...HALF.slice(0, 1),
        ["content_block_delta", { index: 3, delta: { type: "text_delta", text: "?" } }],
      ])],
    [
      "has an event that is not JSON",
      () => stream(HALF, "event: content_block_stop\ndata: {not\n\n"),
    ],
    ["is no stream of events", () => stream([], "event: message_start\ndata: {not json\n\n")],
    ["is a page", () => new Response("<h1>Welcome</h1>")],
    ["is empty", () => stream([])],
  ] as [string, () => Response][]
) {
  Deno.test(`no reply is made of a stream that ${what}, and the next one is whole`, async () => {
    let asked = 0;
    await using server = messagesServer(() => ++asked === 1 ? broken() : [text("whole")]);
    const clock = new HandClock();
    const one = line(server.url, { clock });
    const first = one.ask();
    // Before its start a stream is asked for anew at once, after it by who accounts for it.
    const ended = await Promise.race([
      first,
      until("a pause", () => one.pieces.some(({ type }) => type === "waiting")),
    ]);
    if (ended === true) {
      clock.advance(MODEL_RETRY_FIRST_MS);
      assert.equal(said(await first), "whole");
    } else {
      assert.equal(failed(await first).concerns, "again");
      assert.equal(said(await one.ask()), "whole");
    }
    assert.equal(asked, 2);
  });
}

Deno.test("events, blocks and deltas of kinds that nobody knows are passed over", async () => {
  const [start, ...rest] = events([text("known")], "end_turn");
  await using server = messagesServer(() =>
    stream([
      start,
      ["weather_report", { sunny: true }],
      ["content_block_start", { index: 1, content_block: { type: "hologram", rays: 3 } }],
      ["content_block_delta", { index: 1, delta: { type: "ray_delta", ray: 1 } }],
      ["content_block_stop", { index: 1 }],
      ...rest,
    ])
  );
  const answer = await line(server.url).ask();
  assert.equal(said(answer), "known");
});

Deno.test("a stream that stalls in its middle is given up after the silence that is allowed", async () => {
  const stalled = openStream(HALF);
  await using server = messagesServer(() => stalled.response);
  const { failed: reason, concerns } = failed(await line(server.url, { silence_ms: 100 }).ask());
  assert.equal(concerns, "again");
  assert.match(reason, /said nothing for 0.1 s/);
  await until("the hanging up", stalled.left);
});

Deno.test("a call whose first byte does not come is given up and made again", async () => {
  const silent = openStream([]);
  let asked = 0;
  await using server = messagesServer(() => ++asked === 1 ? silent.response : [text("awake")]);
  const clock = new HandClock();
  const one = line(server.url, { clock, first_byte_ms: 200 });
  const calling = one.ask();
  await until("the hanging up", silent.left);
  const waiting = await until("a pause", () => one.pieces.find(({ type }) => type === "waiting"));
  assert.match((waiting as { why: string }).why, /said nothing for 0.2 s/);
  clock.advance(MODEL_RETRY_FIRST_MS);
  assert.equal(said(await calling), "awake");
});

Deno.test("pings keep a stream alive that says nothing else for longer than the silence allowed", async () => {
  const whole = events([text("slept well")], "end_turn");
  const sleepy = openStream(whole.slice(0, 2));
  await using server = messagesServer(() => sleepy.response);
  // Ten pings fit in, also where others have the cores.
  const silence_ms = 400 * slowness();
  const calling = line(server.url, { silence_ms }).ask();
  const begun = performance.now();
  const pings = setInterval(() => sleepy.left() || sleepy.say([["ping", {}]]), 40);
  await until("a long sleep", () => performance.now() - begun > 2.5 * silence_ms);
  clearInterval(pings);
  sleepy.say(whole.slice(2));
  sleepy.end();
  assert.equal(said(await calling), "slept well");
});

Deno.test("a provider that names seconds to wait (retry-after) is not asked before", async () => {
  await using server = messagesServer(() =>
    server.asked.length === 1
      ? failure(429, "rate_limit_error", "later", { "retry-after": "1" })
      : [text("in time")]
  );
  assert.equal(said(await line(server.url).ask()), "in time");
  const [first, second] = server.asked;
  // The clock behind it counts whole milliseconds.
  assert.ok(second.at - first.at >= 999, `${second.at - first.at} ms`);
});

Deno.test("a provider that names a time to wait for (retry-after, 529) is not asked before", async () => {
  const times: number[] = [];
  const until_ms = Math.ceil((Date.now() + 500) / 1000) * 1000;
  await using server = messagesServer(() =>
    times.push(Date.now()) === 1
      ? failure(529, "overloaded_error", "later", {
        "retry-after": new Date(until_ms).toUTCString(),
      })
      : [text("in time")]
  );
  assert.equal(said(await line(server.url).ask()), "in time");
  assert.ok(times[1] >= until_ms, `${until_ms - times[1]} ms too early`);
});

Deno.test("others wait too while one call has been told to (retry-after)", async () => {
  const clock = new HandClock();
  await using server = messagesServer(() =>
    server.asked.length === 1
      ? failure(429, "rate_limit_error", "later", { "retry-after": "20" })
      : [text("in time")]
  );
  const one = line(server.url, { clock });
  const first = one.ask();
  await until("the pause", () => one.model.views()[0]?.paused_until);
  const second = one.ask();
  clock.advance(19_999);
  await until("both to wait", () => one.model.views()[0].waiting === 2);
  assert.equal(server.asked.length, 1);
  clock.advance(1);
  assert.deepEqual([said(await first), said(await second)], ["in time", "in time"]);
});

Deno.test("a call that would have to wait beyond its deadline (retry-after) fails at once, with the reason", async () => {
  await using server = messagesServer(() =>
    failure(429, "rate_limit_error", "come back tomorrow", { "retry-after": "3600" })
  );
  const { failed: reason, concerns } = failed(await line(server.url).ask());
  assert.equal(concerns, "task");
  assert.match(reason, /asks for patience: come back tomorrow/);
  assert.equal(server.asked.length, 1);
});

Deno.test("a call is made so many times at the most, after pauses that grow and are drawn, and fails with the last reason", async () => {
  const clock = new HandClock();
  const begun = clock.now();
  const times: number[] = [];
  await using server = messagesServer(() =>
    failure(529, "overloaded_error", `no. ${times.push(clock.now())}`, {})
  );
  const one = line(server.url, { clock, deadline_ms: 3_600_000 });
  let over: ModelReply | ModelFailure | null = null;
  one.ask().then((answer) => over = answer);
  const ended = await until("the end", () => {
    if (one.model.views()[0]?.under_way === 0) clock.advance(clock.waits[0] ?? 0);
    return over;
  });
  const { failed: reason, concerns } = failed(ended);
  assert.equal(concerns, "task");
  assert.match(reason, new RegExp(`529: no. ${MODEL_ATTEMPTS_MAX}$`));
  assert.equal(server.asked.length, MODEL_ATTEMPTS_MAX);

  assert.equal(times[0], begun);
  const pauses = times.slice(1).map((time, index) => time - times[index]);
  pauses.forEach((pause, index) => {
    const longest = Math.min(MODEL_RETRY_FIRST_MS * 2 ** index, MODEL_RETRY_MAX_MS);
    // After so many failures in a row the model is left alone besides.
    const most = index + 1 < BREAKER_FAILURES ? longest : Math.max(longest, BREAKER_MAX_MS);
    assert.ok(pause >= longest / 2 && pause <= most, `${pause} ms before attempt ${index + 2}`);
  });
  const drawn = pauses.slice(0, BREAKER_FAILURES - 1);
  assert.ok(drawn.some((pause, index) => pause % (MODEL_RETRY_FIRST_MS * 2 ** index / 2) !== 0));
});

Deno.test("a provider that asks for patience again and again is waited for until the deadline, and no longer", async () => {
  const clock = new HandClock();
  await using server = messagesServer(() =>
    failure(429, "rate_limit_error", "a little later", { "retry-after": "7" })
  );
  const one = line(server.url, { clock, deadline_ms: 60_000 });
  let over: ModelReply | ModelFailure | null = null;
  one.ask().then((answer) => over = answer);
  const ended = await until("the end", () => {
    const paused = one.model.views()[0]?.paused_until;
    if (paused && paused > clock.now()) clock.advance(paused - clock.now());
    return over;
  });
  assert.match(failed(ended).failed, /asks for patience: a little later/);
  // More attempts than a fault has: waiting for limits is none.
  assert.equal(server.asked.length, 1 + Math.floor(60 / 7));
});

Deno.test("the deadline of a call ends a reply that never ends, and says so", async () => {
  const endless = openStream(HALF);
  await using server = messagesServer(() => endless.response);
  const clock = new HandClock();
  const one = line(server.url, { clock, deadline_ms: 60_000 });
  const calling = one.ask();
  await until("the first half", () => one.pieces.some(({ type }) => type === "delta"));
  clock.advance(60_000);
  const { failed: reason, concerns } = failed(await calling);
  assert.equal(concerns, "task");
  assert.equal(reason, "No answer within 60 s");
  await until("the hanging up", endless.left);
});

Deno.test("arguments that are no JSON, an unknown tool and wrong arguments are errors that the model can mend", async () => {
  const broken = events(
    [
      call("call_a", "no_such_tool", {}),
      call("call_b", "read_file", { path: 3 }),
      call("call_c", "list_files", {}),
    ],
    "tool_use",
  ).map(([type, data]): [string, unknown] => {
    const { index, delta } = data as { index?: number; delta?: object };
    return type === "content_block_delta" && index === 2
      ? [type, { index, delta: { ...delta, partial_json: '{"path": ' } }]
      : [type, data];
  });
  await using one = talk(({ turn }) => turn === 0 ? stream(broken) : end("mended"));
  assert.equal((await one.run("x")).result, "mended");
  const [, { content: calls }, { content: results }] = one.asked[1].body.messages;
  const said = results.map(({ content }: { content: string }) => content);
  assert.deepEqual(
    results.map(({ is_error, tool_use_id }: Record<string, unknown>) => [tool_use_id, is_error]),
    [["call_a", true], ["call_b", true], ["call_c", true]],
  );
  assert.match(said[0], /no tool no_such_tool for this task. There are: .*read_file/);
  assert.match(said[1], /path/);
  assert.match(said[2], /not a JSON object: \{"path": /);
  // What the API gets back is a call as it takes them.
  assert.deepEqual(calls[2], { type: "tool_use", id: "call_c", name: "list_files", input: {} });
});

Deno.test("a question that is dropped ends its request, is accounted for, and is asked anew", async () => {
  const endless = openStream(HALF);
  await using one = talk(({ body }) =>
    JSON.stringify(body.messages).includes("make a move") ? end("moved") : endless.response
  );
  const id = await one.begin("endless");
  const [{ id: task }] = await one.tasks(id);
  await until("the first half", () => one.kernel.drafts.of(task)?.blocks[0]);
  await one.tell(id, task, { type: "nudge", text: "make a move" });
  await until("the hanging up", endless.left);
  await until("the end", async () => (await one.tree(id)).result === "moved");
  assert.equal(one.asked.length, 2);
  const [{ input_tokens }] = await one.tasks(id);
  assert.equal(input_tokens, 2 * (7 + 3));
  const [view] = await one.kernel.gateway.views();
  assert.deepEqual([view.under_way, view.waiting, view.breaker.state], [0, 0, "closed"]);
});

Deno.test("a call that is called off in the moment in which another one ends is over too", async () => {
  let endless = openStream(HALF);
  let ended = Promise.withResolvers<void>();
  let asked = 0;
  await using server = messagesServer(async () => {
    if (asked++ === 0) return endless.response;
    await ended.promise;
    return failure(401, "authentication_error", "revoked");
  });
  // In plain Deno one of fifty is missed.
  for (let round = 0; round < 150; round++) {
    [endless, ended, asked] = [openStream(HALF), Promise.withResolvers(), 0];
    const one = line(server.url);
    const calling = new AbortController();
    const first = one.ask(calling.signal).catch((error: Error) => error.message);
    await within(() => one.pieces.some(({ type }) => type === "delta"));
    const second = one.ask();
    await within(() => asked === 2);
    ended.resolve();
    await second;
    calling.abort(new Error("called off"));
    let over: unknown = null;
    first.then((said) => over = said);
    await within(() => over !== null && endless.left());
    assert.equal(over, "called off");
  }
});

/** Like `until`, without a pause between two looks. */
async function within(look: () => boolean): Promise<void> {
  let late = false;
  const inTime = onceGiven(5_000, () => late = true);
  while (!look()) {
    if (late) throw new Error(`5 s went by without ${look}`);
    await new Promise((resolve) => setTimeout(resolve));
  }
  inTime();
}

function said(answer: ModelReply | ModelFailure): string {
  assert.ok(!("failed" in answer), JSON.stringify(answer));
  return textOf(answer.content);
}

function failed(answer: ModelReply | ModelFailure): ModelFailure {
  assert.ok("failed" in answer, JSON.stringify(answer));
  return answer;
}

/** A port that nobody listens on. */
function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  return port;
}
