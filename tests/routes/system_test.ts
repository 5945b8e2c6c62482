/** What the API and the page say about the system, of a real kernel. */
import assert from "node:assert/strict";
import { render } from "preact-render-to-string";
import { createApp } from "../../routes/app.ts";
import type { SystemView } from "../../routes/api/system.ts";
import { SystemPage } from "../../routes/pages/system/page.tsx";
import type { Breaker } from "../../runtime/core/model/breaker.ts";
import { BREAKER_FAILURES } from "../../runtime/core/limits.ts";
import type { TestKernel } from "../support/kernel.ts";
import { finished } from "../support/agents.ts";
import { tempFolder } from "../support/folder.ts";
import { startKernel } from "../support/kernel.ts";
import {
  call,
  failure,
  type MessagesServer,
  messagesServer,
  reply,
} from "../support/messages_server.ts";
import { until } from "../support/until.ts";

const MODELS = { fast: "the-fast-one", default: "the-default-one", strong: "the-strong-one" };

interface Served extends AsyncDisposable {
  readonly kernel: TestKernel;
  get(path: string): Promise<Response>;
  api(): Promise<SystemView>;
  page(): Promise<string>;
}

/** A kernel with its routes; the offline model answers without an address. */
async function serve(base_url: string | null): Promise<Served> {
  const folder = await tempFolder();
  const kernel = await startKernel(folder.path, {
    agent: import.meta.resolve("../../actors/agent.ts"),
  }, {
    provider: base_url === null ? null : { base_url, models: MODELS },
    database: "seeded",
  });
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const get = async (path: string) => await app.request(`http://127.0.0.1${path}`);
  return {
    kernel,
    get,
    api: async () => await (await get("/api/system")).json(),
    page: async () => await (await get("/system")).text(),
    [Symbol.asyncDispose]: async () => {
      await kernel.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function begin({ kernel }: Served): Promise<string> {
  const { id } = await kernel.submit({
    instruction: "x",
    agent: "generalist",
    after_task: "none",
  });
  return id;
}

/** A system whose model fails, seen from before its first call by somebody with the page open. */
let failing: Served & {
  readonly server: MessagesServer;
  readonly before: SystemView;
  readonly stream: Response;
  /** What the open page was sent so far. */
  sent(): string;
};
/** A system whose provider tells its limits, and wants a pause after the first call of a task. */
let limited: Served & { readonly server: MessagesServer };
let offline: Served;

Deno.test.beforeAll(async () => {
  offline = await serve(null);
  limited = await startLimited();
  failing = await startFailing();
});

Deno.test.afterAll(async () => {
  for (const one of [offline, limited, failing]) await one[Symbol.asyncDispose]();
});

const TOLD = {
  "anthropic-ratelimit-requests-limit": "4000",
  "anthropic-ratelimit-requests-remaining": "1200",
  "anthropic-ratelimit-requests-reset": new Date(Date.now() + 1000 * 60_000).toISOString(),
};

async function startLimited(): Promise<typeof limited> {
  const server = messagesServer(({ turn }) => {
    const response = turn === 0
      ? reply([call("call_1", "list_files", {})])
      : failure(429, "rate_limit_error", "later");
    for (const [name, value] of Object.entries(TOLD)) response.headers.set(name, value);
    if (turn > 0) response.headers.set("retry-after-ms", "600000");
    return response;
  });
  return withServer(await serve(server.url), server);
}

async function startFailing(): Promise<typeof failing> {
  const server = messagesServer(() => failure(500, "api_error", "out of <order>"));
  const one = withServer(await serve(server.url), server);
  const before = await one.api();
  const stream = await one.get("/system/stream");
  const closing = new AbortController();
  let text = "";
  const reading = stream.body!.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (chunk) => void (text += chunk) }),
    { signal: closing.signal },
  ).catch(() => "whoever read has left");
  await until("the page as it is", () => text.includes('hx-target="#system"'));
  await begin(one);
  return {
    ...one,
    before,
    stream,
    sent: () => text,
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await reading;
      await one[Symbol.asyncDispose]();
    },
  };
}

/** Both end together. */
function withServer(one: Served, server: MessagesServer) {
  return {
    ...one,
    server,
    [Symbol.asyncDispose]: async () => {
      await one[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a model that fails five times in a row is left alone, in the API and on the page", async () => {
  const { server, before, ...one } = failing;
  assert.equal(before.model.provider, new URL(server.url).host);
  assert.deepEqual(before.model.aliases, MODELS);
  assert.deepEqual(before.model.lanes, []);
  const lane = await until("an open breaker, and the call behind it", async () => {
    const [lane] = (await one.api()).model.lanes;
    return lane?.breaker.state === "open" && lane.waiting > 0 && lane;
  });
  assert.equal(server.asked.length, BREAKER_FAILURES);
  const { breaker, ...rest } = lane;
  assert.ok(breaker.state === "open");
  assert.match(breaker.reason, /500.*out of <order>/);
  assert.ok(new Date(breaker.until).getTime() > Date.now());
  assert.equal(new Date(breaker.until).toISOString(), breaker.until);
  assert.deepEqual(rest, {
    model: MODELS.default,
    under_way: 0,
    waiting: 1,
    paused_until: null,
    limits: {},
  });
  const html = await one.page();
  const moment = breaker.until.slice(0, 19).replace("T", " ");
  assert.match(html, /left alone until/);
  assert.ok(html.includes(`${moment} UTC`), html);
  assert.match(html, /out of &lt;order>/);
  assert.match(html, /0 calls under way, 1 waiting/);
});

Deno.test("the provider's limits and its wish for a pause are shown as it told them", async () => {
  const one = limited;
  await begin(one);
  const lane = await until("the pause", async () => {
    const [lane] = (await one.api()).model.lanes;
    return lane?.paused_until != null && lane;
  });
  assert.deepEqual(lane.breaker, { state: "closed", failures: 0 });
  assert.deepEqual(Object.keys(lane.limits), ["requests"]);
  const { limit, remaining } = lane.limits.requests!;
  // It fills up again from the moment at which it was told.
  assert.ok(limit === 4000 && remaining >= 1200 && remaining < 4000, `${remaining} of ${limit}`);
  const left = new Date(lane.paused_until!).getTime() - Date.now();
  assert.ok(left > 500_000 && left <= 600_000, lane.paused_until!);
  const html = await one.page();
  assert.match(html, /[123],\d{3} of 4,000 requests/);
  assert.match(html, /wants no call until/);
});

for (
  const [breaker, words] of [
    [{ state: "closed", failures: 0 }, /"badge closed">answers</],
    [{ state: "closed", failures: 2 }, /answers<.*2 failures in a row/],
    [
      { state: "open", reason: "it is ill", until: 61_000, opened: 1 },
      /left alone until .*1970-01-01 00:01:01 UTC.*it is ill/,
    ],
    [
      { state: "open", reason: "it is ill", until: 59_000, opened: 1 },
      /left alone until somebody asks<.*it is ill/,
    ],
    [{ state: "half_open", reason: "it is ill", opened: 1 }, /one call tries<.*it is ill/],
  ] as [Breaker, RegExp][]
) {
  Deno.test(`a lane is said to be as it is: ${JSON.stringify(breaker)}`, () => {
    const iso = (ms: number) => new Date(ms).toISOString();
    const lane = {
      model: "the-default-one",
      breaker: breaker.state === "open" ? { ...breaker, until: iso(breaker.until) } : breaker,
      under_way: 0,
      waiting: 0,
      paused_until: null,
      limits: {},
    };
    const system: SystemView = {
      agents: { running: 0, runnable: 0, slots: 3 },
      cells: { cells: 1, workers: 0 },
      tool_cells: { running: 0, waiting: 0 },
      containment: {
        mode: "strict",
        layers: { bwrap: true, prlimit: true },
        summary: "Contained.",
      },
      model: { provider: "127.0.0.1:1", aliases: MODELS, lanes: [lane] },
      supervision: {
        type: "worker",
        id: "one",
        kind: "cell",
        state: "running",
        restarts: 0,
      },
    };
    assert.match(render(SystemPage({ system, now: 60_000 })), words);
  });
}

Deno.test("the system answers while its gateway is gone", async () => {
  const { server, ...one } = limited;
  await begin(one);
  await until("a lane", async () => (await one.api()).model.lanes.length > 0);
  // As between a gateway's death and its successor: what the door knows last is no more.
  await (await one.kernel.ports.model.open("gateway")).stop();
  let answer: SystemView | null = null;
  one.api().then((view) => answer = view);
  const { model } = await until("an answer", () => answer as SystemView | null, 5_000);
  assert.deepEqual(model, { provider: new URL(server.url).host, aliases: MODELS, lanes: [] });
  assert.match(await one.page(), /the-default-one/);
});

Deno.test("the offline model is called so, and has no lanes", async () => {
  const one = offline;
  await finished(one.kernel, await begin(one));
  assert.deepEqual((await one.api()).model, { provider: null, aliases: null, lanes: [] });
  assert.match(await one.page(), /<section[^>]*>.*<h2[^>]*>Model<.*Offline model\./);
});

Deno.test("the supervision tree is shown as it is, restarts included", async () => {
  const one = offline;
  const { supervision } = await one.api();
  assert.ok(supervision.type === "supervisor");
  const { id, strategy, state, children } = supervision;
  assert.deepEqual([id, strategy, state], ["troupe", "rest_for_one", "running"]);
  const kinds = children.map((child) => child.type === "worker" ? child.kind : child.strategy);
  assert.deepEqual(kinds, [
    "store",
    "one_for_one",
    "one_for_one",
    "scheduler",
    "watch",
    "housekeeping",
  ]);
  Deno.kill(one.kernel.cells.pids[0], "SIGKILL");
  await until("a new cell", async () => {
    const { supervision } = await one.api();
    if (supervision.type !== "supervisor") return false;
    const cells = supervision.children.find(({ id }) => id === "cells")!;
    if (cells.type !== "supervisor") return false;
    const [cell] = cells.children;
    return cell.state === "running" && cell.restarts === 1;
  });
  assert.match(await one.page(), /cell-1<.*restarted once/);
});

Deno.test("every page leads to the system page, which keeps to the rules for pages", async () => {
  const one = offline;
  for (const path of ["/", "/trees/unknown", "/system"]) {
    const response = await one.get(path);
    assert.match(await response.text(), /<header.*href="\/system".*<\/header>/, path);
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'self'/);
  }
});

Deno.test("an open system page learns of a lane that no commit announced", async () => {
  const { stream, sent } = failing;
  assert.equal(stream.headers.get("content-type"), "text/event-stream");
  await until("the lane's state", () => sent().includes("left alone"), 8_000);
});
