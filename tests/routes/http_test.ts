/** The API of one real server, as clients and as web pages of strangers meet it. */
import assert from "node:assert/strict";
import type { EntryView } from "../../db/entries.ts";
import type { Page } from "../../db/page.ts";
import type { TaskView } from "../../db/task_views.ts";
import type { TreeView } from "../../db/trees.ts";
import {
  INSTRUCTION_BYTES_MAX,
  PAGE_ROWS_MAX,
  REQUEST_BYTES_MAX,
} from "../../runtime/core/limits.ts";
import { UNKNOWABLE } from "../../runtime/core/model/offline.ts";
import { readPlaybooks } from "../../seeds/mod.ts";
import {
  begin,
  done,
  ended,
  getJson,
  post,
  type Problem,
  settled,
  type WholeTree,
} from "../support/api.ts";
import { LONG } from "../support/long.ts";
import { startTroupe, type Troupe } from "../support/troupe.ts";
import { onceGiven, until } from "../support/until.ts";

let troupe: Troupe;
let url: string;
/** The demo tasks of the home page, begun together: their trees by the playbook's name. */
const demos = new Map<string, string>();
const SLOTS = 6;

Deno.test.beforeAll(async () => {
  troupe = await startTroupe({ env: { MAX_CONCURRENT_AGENTS: String(SLOTS) } });
  url = troupe.url;
  for (const { name, task, timeout_seconds } of await readPlaybooks()) {
    // The largest one is the slow tree.
    if (task === null || name === "breakdown") continue;
    const seconds = timeout_seconds === null ? {} : { timeout_seconds: 2 };
    // What follows each task is the simple one's to show; it is most of what the others would do.
    const after_task = name === "simple" ? "all" : "none";
    demos.set(name, await begin(url, { instruction: task, after_task, ...seconds }));
  }
});

Deno.test.afterAll(async () => {
  await troupe?.stop();
  await (await slow)?.troupe.stop();
});

/** The breakdown demo where one task runs at a time: a tree of many levels that grows for seconds. */
interface SlowTree {
  readonly troupe: Troupe;
  readonly id: string;
  /** Its end, and how many of its tasks were seen running at once. */
  readonly end: Promise<{ readonly tree: WholeTree; readonly most: number }>;
}

let slow: Promise<SlowTree> | undefined;

/** Begins it for the first test that asks for it. */
function slowTree(): Promise<SlowTree> {
  return slow ??= (async () => {
    const troupe = await startTroupe({ env: { MAX_CONCURRENT_AGENTS: "1" } });
    const { task } = (await readPlaybooks()).find(({ name }) => name === "breakdown")!;
    const after_task = LONG ? "all" : "root";
    const id = await begin(troupe.url, { instruction: task!, after_task });
    return { troupe, id, end: watch(troupe.url, id) };
  })();
}

async function watch(url: string, id: string): Promise<{ tree: WholeTree; most: number }> {
  let most = 0;
  const tree = await until("the end of the breakdown", async () => {
    const now = await getJson<WholeTree>(`${url}/api/trees/${id}`);
    most = Math.max(most, now.tasks.filter(({ status }) => status === "running").length);
    return now.ended_at !== null && now;
  }, 60_000);
  return { tree, most };
}

/** All trees, read page by page. */
async function allTrees(limit = PAGE_ROWS_MAX): Promise<TreeView[]> {
  const trees: TreeView[] = [];
  for (let cursor: string | null = "";;) {
    const query: string = cursor ? `&cursor=${cursor}` : "";
    const page: Page<TreeView> = await getJson(`${url}/api/trees?limit=${limit}${query}`);
    assert.ok(page.items.length <= limit);
    trees.push(...page.items);
    cursor = page.next_cursor;
    if (cursor === null) return trees;
  }
}

async function problem(response: Response, status: number, field?: string): Promise<Problem> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/);
  const body = JSON.parse(text) as Problem;
  assert.equal(body.status, status);
  assert.ok(body.title.length > 0 && body.detail.length > 0, text);
  assert.ok(!text.includes("    at "), text);
  if (field !== undefined) {
    assert.ok(body.errors?.some((error) => error.field === field), `${field} in ${text}`);
  }
  return body;
}

// Bad input.

const fine = { instruction: "Compute 1 + 1", after_task: "none" };

for (
  const [what, body, field] of [
    ["no instruction", {}, "instruction"],
    ["an empty instruction", { instruction: "" }, "instruction"],
    ["an instruction of blanks", { instruction: " \n\t " }, "instruction"],
    ["an instruction that is no text", { instruction: ["x"] }, "instruction"],
    ["an instruction over the limit", {
      instruction: "x".repeat(INSTRUCTION_BYTES_MAX + 1),
    }, "instruction"],
    ["an instruction over the limit in bytes, not in characters", {
      instruction: "ü".repeat(INSTRUCTION_BYTES_MAX / 2 + 1),
    }, "instruction"],
    ["an instruction with a NUL", { instruction: "before\0after" }, "instruction"],
    ["a NUL deep inside", { ...fine, budget: { tasks: "1\0" } }, "budget.tasks"],
    ["an unknown agent", { ...fine, agent: "nobody" }, "agent"],
    ["an agent that is no text", { ...fine, agent: 7 }, "agent"],
    ["priority 10", { ...fine, priority: 10 }, "priority"],
    ["priority -1", { ...fine, priority: -1 }, "priority"],
    ["half a priority", { ...fine, priority: 1.5 }, "priority"],
    ["a priority as text", { ...fine, priority: "5" }, "priority"],
    ["a timeout of no seconds", { ...fine, timeout_seconds: 0 }, "timeout_seconds"],
    ["a timeout of more than a day", { ...fine, timeout_seconds: 86_401 }, "timeout_seconds"],
    ["an unknown mode", { ...fine, mode: "fast" }, "mode"],
    ["an unknown policy", { ...fine, after_task: "some" }, "after_task"],
    ["a budget that is none", { ...fine, budget: 7 }, "budget"],
    ["a budget without tasks", { ...fine, budget: { tasks: 0 } }, "budget.tasks"],
    ["an unknown field", { ...fine, colour: "red" }, "body"],
    ["a list for a body", [fine], "body"],
    ["null for a body", null, "body"],
    ["a text for a body", '"Compute 1 + 1"', "body"],
  ] as [string, unknown, string][]
) {
  Deno.test(`a tree with ${what} is refused by the field ${field} and leaves nothing`, async () => {
    const before = (await allTrees()).length;
    await problem(await post(`${url}/api/trees`, body), 400, field);
    assert.equal((await allTrees()).length, before);
  });
}

Deno.test("an unknown field is named", async () => {
  const body = await problem(await post(`${url}/api/trees`, { ...fine, colour: 1 }), 400);
  assert.match(body.detail, /colour/);
});

Deno.test("several wrong fields are named at once", async () => {
  const response = await post(`${url}/api/trees`, { priority: 10, timeout_seconds: 0 });
  const fields = (await problem(response, 400)).errors!.map(({ field }) => field);
  assert.deepEqual(fields.sort(), ["instruction", "priority", "timeout_seconds"]);
});

Deno.test("a body that is not JSON is refused and leaves nothing", async () => {
  const before = (await allTrees()).length;
  for (const body of ["{", "", "instruction=x", '{"instruction": "x",}']) {
    const { detail } = await problem(await post(`${url}/api/trees`, body), 400);
    assert.match(detail, /not JSON/);
  }
  assert.equal((await allTrees()).length, before);
});

Deno.test("a body over 1 MB is refused with 413, with its length declared or streamed", async () => {
  const before = (await allTrees()).length;
  const body = JSON.stringify({ instruction: "x", agent: "y".repeat(REQUEST_BYTES_MAX) });
  await problem(await post(`${url}/api/trees`, body), 413);
  const stream = new Blob([body]).stream();
  const headers = { "content-type": "application/json" };
  const streamed = await fetch(`${url}/api/trees`, { method: "POST", body: stream, headers });
  await problem(streamed, 413);
  assert.equal((await allTrees()).length, before);
});

Deno.test("an instruction at the limit is accepted", async () => {
  const instruction = "x".repeat(INSTRUCTION_BYTES_MAX);
  const tree = await done(url, { instruction, after_task: "none" });
  assert.equal(tree.instruction.length, instruction.length);
});

Deno.test("a body of another content type is refused with 415 and leaves nothing", async () => {
  const before = (await allTrees()).length;
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    const response = await post(`${url}/api/trees`, fine, { "content-type": type });
    await problem(response, 415);
  }
  assert.equal((await allTrees()).length, before);
});

for (
  const path of [
    "/api/trees/nope",
    "/api/trees/nope/messages",
    "/api/trees/nope/events",
    "/api/tasks/nope",
    "/api/tasks/nope/messages",
    "/api/trees/%00",
    "/api/trees/' OR 1=1 --",
    "/api/nothing",
  ]
) {
  Deno.test(`GET ${path} answers 404`, async () => {
    await problem(await fetch(`${url}${path}`), 404);
  });
}

Deno.test("a decision about an unknown review answers 404, and a bad one 400", async () => {
  const at = `${url}/api/reviews/nope/decision`;
  await problem(await post(at, { decision: "approved" }), 404);
  await problem(await post(at, { decision: "perhaps" }), 400, "decision");
});

Deno.test("a path with a broken escape is refused, and the server goes on", async () => {
  const response = await fetch(`${url}/api/trees/%E0%A4%A`);
  await response.body?.cancel();
  assert.ok(response.status >= 400 && response.status < 500, String(response.status));
});

Deno.test("a bad page of the list is refused by its field", async () => {
  for (
    const [query, field] of [
      ["limit=0", "limit"],
      [`limit=${PAGE_ROWS_MAX + 1}`, "limit"],
      ["limit=many", "limit"],
      ["limit=1.5", "limit"],
      ["status=asleep", "status"],
      [`cursor=${"0".repeat(65)}`, "cursor"],
    ]
  ) await problem(await fetch(`${url}/api/trees?${query}`), 400, field);
});

Deno.test("a cursor of the list that no page gave is refused", async () => {
  await problem(await fetch(`${url}/api/trees?cursor=not-a-cursor`), 400, "cursor");
});

Deno.test("a bad cursor of a journal is refused by its field", async () => {
  const id = demos.get("simple")!;
  for (const cursor of ["x", "-1", "1.5", "1e400", "0".repeat(65)]) {
    await problem(await fetch(`${url}/api/trees/${id}/messages?cursor=${cursor}`), 400, "cursor");
  }
  await problem(await fetch(`${url}/api/trees/${id}/messages?limit=0`), 400, "limit");
});

Deno.test("a bad Last-Event-ID is refused", async () => {
  const headers = { "last-event-id": "yesterday" };
  const response = await fetch(`${url}/api/trees/${demos.get("simple")}/events`, { headers });
  await problem(response, 400);
});

// Asking twice.

Deno.test("a request repeated under its key answers with the same tree", async () => {
  const before = (await allTrees()).length;
  const headers = { "idempotency-key": crypto.randomUUID() };
  const ask = async () => {
    const response = await post(`${url}/api/trees`, fine, headers);
    assert.equal(response.status, 201);
    return (await response.json()).id;
  };
  const first = await ask();
  assert.equal(await ask(), first);
  assert.equal((await allTrees()).length, before + 1);
});

Deno.test("requests at once under one key begin one tree", async () => {
  const before = (await allTrees()).length;
  const headers = { "idempotency-key": crypto.randomUUID() };
  const responses = await Promise.all(
    Array.from({ length: 8 }, () => post(`${url}/api/trees`, fine, headers)),
  );
  const ids = await Promise.all(responses.map(async (response) => (await response.json()).id));
  assert.deepEqual(responses.map(({ status }) => status), Array(8).fill(201));
  assert.equal(new Set(ids).size, 1);
  assert.equal((await allTrees()).length, before + 1);
});

Deno.test("another request under a used key is refused with 422 and leaves nothing", async () => {
  const headers = { "idempotency-key": crypto.randomUUID() };
  await (await post(`${url}/api/trees`, fine, headers)).body?.cancel();
  const before = (await allTrees()).length;
  const response = await post(`${url}/api/trees`, { ...fine, priority: 1 }, headers);
  await problem(response, 422);
  assert.equal((await allTrees()).length, before);
});

Deno.test("a key that is too long or has blanks is refused by its name", async () => {
  for (const key of ["x".repeat(256), "two words"]) {
    const response = await post(`${url}/api/trees`, fine, { "idempotency-key": key });
    await problem(response, 400, "Idempotency-Key");
  }
});

// Strangers.

/** Sends bytes as they are; gives the answer's status line, or "" when the connection was shut. */
async function raw(request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(request));
  let answer = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  while (!answer.includes("\r\n")) {
    const length = await connection.read(buffer);
    if (length === null) break;
    answer += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  return answer.split("\r\n", 1)[0];
}

Deno.test("a POST from a page of another origin is refused and leaves nothing", async () => {
  const before = (await allTrees()).length;
  const { port } = new URL(url);
  for (
    const origin of [
      "http://evil.example",
      "null",
      `https://127.0.0.1:${port}`,
      "http://127.0.0.1:1",
      `http://127.0.0.1:${port}.evil.example`,
    ]
  ) await problem(await post(`${url}/api/trees`, fine, { origin }), 403);
  assert.equal((await allTrees()).length, before);
});

Deno.test("a POST from our own page is accepted", async () => {
  const response = await post(`${url}/api/trees`, fine, { origin: url });
  assert.equal(response.status, 201);
  await response.body?.cancel();
});

Deno.test("a request for another host is refused with 421, for reading and for writing", async () => {
  const before = (await allTrees()).length;
  const body = JSON.stringify(fine);
  for (const host of ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1"]) {
    const head = `Host: ${host}\r\nConnection: close\r\n`;
    assert.match(await raw(`GET /api/trees HTTP/1.1\r\n${head}\r\n`), / 421 /);
    assert.match(await raw(`GET / HTTP/1.1\r\n${head}\r\n`), / 421 /);
    const type = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    assert.match(await raw(`POST /api/trees HTTP/1.1\r\n${head}${type}\r\n${body}`), / 421 /);
  }
  assert.equal((await allTrees()).length, before);
});

Deno.test("a request for localhost is answered", async () => {
  const { port } = new URL(url);
  const head = `Host: localhost:${port}\r\nConnection: close\r\n`;
  assert.match(await raw(`GET /api/trees HTTP/1.1\r\n${head}\r\n`), / 200 /);
});

Deno.test("a bearer token is refused where none was set", async () => {
  const headers = { authorization: "Bearer 0123456789abcdef" };
  await problem(await fetch(`${url}/api/trees`, { headers }), 401);
});

Deno.test("bytes that are no HTTP do not end the server", async () => {
  await raw("\u0000\u0001nonsense\r\n\r\n").catch(() => "");
  assert.equal((await getJson<{ status: string }>(`${url}/health`)).status, "ok");
});

// Whether it lives.

Deno.test("/health says ok, and /ready says what runs", async () => {
  assert.deepEqual(await getJson(`${url}/health`), { status: "ok" });
  const ready = await getJson<Record<string, unknown>>(`${url}/ready`);
  assert.equal(ready.status, "ready");
  assert.equal(ready.slots, SLOTS);
});

// Reading.

Deno.test("a new tree is answered with its address and as it was asked for", async () => {
  const request = {
    instruction: "  Compute 2 + 2 ",
    priority: 9,
    after_task: "none",
    timeout_seconds: 30,
    budget: { depth: 3 },
  };
  const response = await post(`${url}/api/trees`, request);
  const tree = await response.json() as TreeView;
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("location"), `/api/trees/${tree.id}`);
  assert.deepEqual(
    [tree.instruction, tree.priority, tree.after_task, tree.timeout_seconds, tree.budget],
    ["Compute 2 + 2", 9, "none", 30, { depth: 3 }],
  );
  const whole = await ended(url, tree.id);
  assert.equal(whole.result, "4");
  const root = whole.tasks.find(({ id }) => id === whole.root_task_id)!;
  assert.deepEqual(await getJson<TaskView>(`${url}/api/tasks/${root.id}`), root);
});

Deno.test("the list pages through every tree once, newest first", async () => {
  const pages = await allTrees(2);
  const whole = await allTrees();
  assert.ok(whole.length >= 5);
  assert.deepEqual(pages.map(({ id }) => id), whole.map(({ id }) => id));
  assert.deepEqual(whole.map(({ id }) => id), whole.map(({ id }) => id).sort().reverse());
});

Deno.test("the list can be narrowed to a status", async () => {
  await ended(url, demos.get("simple")!);
  const page = await getJson<Page<TreeView>>(`${url}/api/trees?status=done&limit=200`);
  assert.ok(page.items.some(({ id }) => id === demos.get("simple")));
  assert.ok(page.items.every(({ status }) => status === "done"));
});

async function journal(path: string, limit: number, of = url): Promise<EntryView[]> {
  const entries: EntryView[] = [];
  for (let cursor: string | null = "0"; cursor !== null;) {
    const page: Page<EntryView> = await getJson(
      `${of}${path}/messages?limit=${limit}&cursor=${cursor}`,
    );
    assert.ok(page.items.length <= limit);
    entries.push(...page.items);
    cursor = page.next_cursor;
  }
  return entries;
}

Deno.test("a journal pages through every entry once, in order, for a tree and for its tasks", async () => {
  const tree = await settled(url, demos.get("simple")!);
  const whole = await journal(`/api/trees/${tree.id}`, PAGE_ROWS_MAX);
  assert.deepEqual(await journal(`/api/trees/${tree.id}`, 3), whole);
  const seqs = whole.map(({ seq }) => seq);
  assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b));
  const parts = await Promise.all(tree.tasks.map(({ id }) => journal(`/api/tasks/${id}`, 2)));
  assert.deepEqual(parts.flat().map(({ seq }) => seq).sort((a, b) => a - b), seqs);
  assert.ok(whole.every(({ tree_id }) => tree_id === tree.id));
});

interface Sent {
  readonly id: string | undefined;
  readonly event: string;
  readonly value: Record<string, unknown>;
}

/** Reads a tree's events to the end of the stream, or until there are so many entries. */
async function events(
  id: string,
  last: string | null,
  most = Infinity,
  of = url,
): Promise<Sent[]> {
  const controller = new AbortController();
  const inTime = onceGiven(STREAM_DEADLINE_MS, () => {
    controller.abort(new Error(`The stream of ${id} after ${last} fell silent`));
  });
  try {
    return await readEvents(`${of}/api/trees/${id}/events`, last, most, controller);
  } finally {
    inTime();
  }
}

/** A tree whose events take longer than this has lost its stream. */
const STREAM_DEADLINE_MS = 20_000;

async function readEvents(
  at: string,
  last: string | null,
  most: number,
  controller: AbortController,
): Promise<Sent[]> {
  const headers: Record<string, string> = last === null ? {} : { "last-event-id": last };
  const response = await fetch(at, { headers, signal: controller.signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  const sent: Sent[] = [];
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      const event = field("event");
      if (!event) continue;
      sent.push({ id: field("id"), event, value: JSON.parse(field("data")!) });
      if (sent.filter(({ event }) => event === "message").length >= most) {
        controller.abort();
        return sent;
      }
    }
  }
  return sent;
}

const seqsOf = (sent: Sent[]) =>
  sent.filter(({ event }) => event === "message").map(({ value }) => value.seq as number);

Deno.test("a stream that is cut and resumed again and again loses and doubles nothing", async () => {
  const { troupe, id } = await slowTree();
  const all: Sent[] = [];
  let last: string | null = null;
  for (let most = 1;; most += 7) {
    const part = await events(id, last, most, troupe.url);
    all.push(...part);
    last = part.findLast(({ id }) => id !== undefined)?.id ?? last;
    if (part.at(-1)?.event === "end") break;
  }
  const whole = await journal(`/api/trees/${id}`, PAGE_ROWS_MAX, troupe.url);
  assert.deepEqual(seqsOf(all), whole.map(({ seq }) => seq));
  const messages = all.filter(({ event }) => event === "message");
  assert.deepEqual(messages.map(({ value }) => value), whole as unknown[]);
  assert.ok(messages.every(({ id, value }) => id === String(value.seq)));
});

Deno.test("a stream of a tree that has ended gives its whole journal, its tasks and end", async () => {
  const tree = await settled(url, demos.get("simple")!);
  const sent = await events(tree.id, null);
  assert.deepEqual(
    seqsOf(sent),
    (await journal(`/api/trees/${tree.id}`, PAGE_ROWS_MAX)).map(({ seq }) => seq),
  );
  assert.equal(sent.at(-1)!.event, "end");
  assert.equal(sent.filter(({ event }) => event === "end").length, 1);
  const tasks = sent.filter(({ event }) => event === "task").map(({ value }) => value.id);
  assert.deepEqual(tasks.sort(), tree.tasks.map(({ id }) => id).sort());
  assert.ok(sent.some(({ event, value }) => event === "tree" && value.status === "done"));
});

Deno.test("a stream resumed after the last entry sends no entry and ends", async () => {
  const tree = await settled(url, demos.get("simple")!);
  const whole = await journal(`/api/trees/${tree.id}`, PAGE_ROWS_MAX);
  const sent = await events(tree.id, String(whole.at(-1)!.seq));
  assert.deepEqual(seqsOf(sent), []);
  assert.equal(sent.at(-1)!.event, "end");
});

// The demo tasks.

const byInstruction = ({ tasks }: WholeTree, instruction: string) =>
  tasks.filter((task) => task.instruction === instruction && task.purpose === "subtask");

Deno.test("the simple demo ends with 395, answered by the offline model", async () => {
  const tree = await settled(url, demos.get("simple")!);
  assert.deepEqual([tree.status, tree.result, tree.model], ["done", "395", "offline"]);
  const purposes = tree.tasks.map(({ purpose }) => purpose).sort();
  assert.deepEqual(purposes, ["documentation", "evaluation", "root", "subtask", "summary"]);
});

Deno.test("the breakdown demo ends with the cost and goes three levels down", async () => {
  const { tree } = await (await slowTree()).end;
  assert.equal(tree.status, "done");
  assert.equal(tree.result, "The workshop costs 2420 euros".replace("2420", String(cost(24))));
  assert.equal(cost(24), 2420);
  assert.ok(Math.max(...tree.tasks.map(({ depth }) => depth)) >= 4);
});

/** Room, catering and material as the playbook has them. */
function cost(people: number): number {
  return 2 * 450 + 2 * (60 + 40) + 2 * people * 18 + 2 * people * 2 * 3 + people * 7;
}

Deno.test("the context demo ends with what the document says", async () => {
  const tree = await ended(url, demos.get("context")!);
  assert.equal(tree.status, "done");
  assert.equal(
    tree.result,
    "From the document house_rules: The kitchen is open until 22:00. Who cooks, cleans.",
  );
});

Deno.test("the failing demo ends with both outcomes, and the failed branch is marked as failed", async () => {
  const tree = await ended(url, demos.get("failing")!);
  assert.equal(tree.status, "done");
  assert.equal(
    tree.result,
    "The letter: failure (Nowhere has no address: the letter cannot be delivered). " +
      "The postage: 120 cents",
  );
  const [branch] = byInstruction(tree, "Deliver a letter to nowhere");
  assert.equal(branch.status, "failed");
});

Deno.test("the new tool demo ends with the temperature, also when the tool is there already", async () => {
  const first = await ended(url, demos.get("new_tool")!);
  assert.equal(first.result, "97.88");
  const again = await done(url, { instruction: first.instruction, after_task: "none" });
  assert.equal(again.result, "97.88");
  const { versions } = await (await fetch(`${url}/api/tools/celsius_to_fahrenheit`)).json();
  assert.equal(versions.length, 1);
});

Deno.test("the stuck demo is resolved: a reminder, the supervisor, then the rest goes on", async () => {
  const tree = await settled(url, demos.get("stuck")!);
  assert.equal(tree.status, "done");
  assert.match(tree.result!, /^The one who answers said: 42\. The other one: .*cancelled/);
  const [branch] = byInstruction(tree, "Wait for an answer that never comes");
  assert.equal(branch.status, "failed");
  assert.match(branch.reason!, /cancelled by the supervisor/);
  const entries = await journal(`/api/tasks/${branch.id}`, PAGE_ROWS_MAX);
  assert.ok(entries.some(({ type }) => type === "nudge"));
  const watchers = tree.tasks.filter(({ purpose, parent_id }) =>
    purpose === "supervision" && parent_id === branch.id
  );
  assert.deepEqual(watchers.map(({ agent, status }) => [agent, status]), [["supervisor", "done"]]);
});

Deno.test("a task beyond the offline model fails with its explanation", async () => {
  const tree = await done(url, { ...fine, instruction: "Write a poem about the sea" });
  assert.equal(tree.status, "failed");
  assert.equal(tree.result, UNKNOWABLE);
  assert.ok(UNKNOWABLE.startsWith(tree.reason!));
});

Deno.test("a tree that may have no other tasks fails and says why", async () => {
  const tree = await done(url, { ...fine, budget: { depth: 0 } });
  assert.equal(tree.status, "failed");
  assert.match(tree.result!, /0 levels deep/);
});

Deno.test("many trees at once all end with their own result", async () => {
  const trees = await Promise.all(
    Array.from(
      { length: LONG ? 2 * SLOTS : SLOTS + 2 },
      (_, at) =>
        done(url, {
          instruction: `Compute ${at} * 1000 + 7`,
          after_task: "none",
          priority: at % 10,
        }),
    ),
  );
  assert.deepEqual(trees.map(({ result }) => result), trees.map((_, at) => String(at * 1000 + 7)));
});

Deno.test("with one slot a breakdown of many levels still ends", async () => {
  const { tree, most } = await (await slowTree()).end;
  assert.equal(tree.result, "The workshop costs 2420 euros");
  // A task that is let go of is still called running until that is written down.
  assert.ok(most <= 1, `${most} tasks ran at once`);
});
