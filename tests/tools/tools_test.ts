/** Tools that agents write: what is refused, what a person allows, what happens. */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import { decide } from "../support/agents.ts";
import type { TestKernel } from "../support/kernel.ts";
import { rows } from "../support/long.ts";
import {
  begin,
  calls,
  end,
  finished,
  question,
  replies,
  run,
  startAgents,
} from "../support/agents.ts";
import { tempFolder } from "../support/folder.ts";
import { oneKernel } from "../support/one_kernel.ts";

/** Does what several tests need: the types of each source more take seconds to check. */
const SOURCE = `
export default ({ n, letter }: { n: number; letter?: string }): number | string => {
  console.log("at work");
  return letter ? "a" + letter.repeat(n) + "z" : n * 2;
};`;

const DOUBLE = {
  name: "double",
  description: "Doubles a number",
  input_schema: {
    type: "object",
    properties: { n: { type: "number" } },
    required: ["n"],
    additionalProperties: false,
  },
  source: SOURCE,
  tests: [{ name: "two", input: { n: 2 }, expected: 4 }],
};

/** What was wrong with each source: types take seconds to check, and the same ones say the same. */
const checked = new Map<string, Promise<string | null>>();

/** A kernel that checks each source once. */
async function start(...args: Parameters<typeof startAgents>): Promise<TestKernel> {
  const kernel = await startAgents(...args);
  const check = kernel.tools.check.bind(kernel.tools);
  kernel.tools.check = (source, signal) =>
    checked.get(source) ?? checked.set(source, check(source, signal)).get(source)!;
  return kernel;
}

const { together, folder } = await oneKernel(start);

const READER = {
  ...DOUBLE,
  name: "reader",
  description: "Reads a file of the workspace",
  input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
  source: `import type { Context } from "troupe";
export default ({ path }: { path: string }, { workspace }: Context): string =>
  Deno.readTextFileSync(\`\${workspace}/\${path}\`);`,
  permissions: { read: ["notes"] },
  tests: [{
    name: "reads",
    input: { path: "notes/a.txt" },
    expected: "hello",
    files: { "notes/a.txt": "hello" },
  }],
};

together("a tool that an agent writes is callable from its next turn, and prints into its log", {
  print: [
    calls(["create_tool", { ...DOUBLE, name: "printing" }]),
    calls(["printing", { n: 21 }]),
    end,
  ],
}, async (kernel) => {
  const [created, called] = await run(kernel, "print");
  assert.match(created.content, /^Created printing, version 1\. 1 of 1 tests passed/);
  assert.equal(called.content, "42");
  assert.equal(called.log, "at work\n");
});

const WRONG = rows<[what: string, change: Record<string, unknown>, said: RegExp]>([
  ["types", { source: "export default ({ n }: { n: number }): string => n;" }, /TS2322/],
  ["syntax", { source: "export default (" }, /Expression expected/],
  [
    "npm",
    { source: "import 'npm:left-pad'; export default () => 1;" },
    /nothing else.*npm:left-pad/,
  ],
  ["jsr", { source: "import 'jsr:@std/path'; export default () => 1;" }, /nothing else.*jsr:/],
  [
    "http",
    { source: "import 'https://a.b/c.ts'; export default () => 1;" },
    /nothing else.*https:/,
  ],
  ["file", { source: "import '/etc/passwd'; export default () => 1;" }, /nothing else.*passwd/],
  [
    "test",
    { tests: [{ name: "two", input: { n: 2 }, expected: 5 }] },
    /failed: two: expected 5, got 4/,
  ],
  ["throws", { source: "export default () => { throw new Error('no'); };" }, /failed: two: no/],
  ["no function", { source: "export default 3;" }, /no function/],
  ["schema", { input_schema: { type: "wat" } }, /input_schema/],
  ["no tests", { tests: [] }, /tests/],
  ["builtin", { name: "read_file" }, /read_file was not written by an agent/],
  [
    "loopback",
    { permissions: { net: ["127.0.0.1:8000"] } },
    /permissions\.net\.0: this machine itself/,
  ],
  ["outside", { permissions: { read: ["../other"] } }, /permissions\.read\.0/],
  ["absolute", { permissions: { write: ["/etc"] } }, /permissions\.write\.0/],
]);

together("a tool with something wrong is refused with what is wrong, and is not registered", {
  wrong: [
    calls(
      ...WRONG.map(([, change]): [string, Record<string, unknown>] => [
        "create_tool",
        { ...DOUBLE, name: "wrong", ...change },
      ]),
    ),
    end,
  ],
}, async (kernel) => {
  const all = await run(kernel, "wrong");
  const ids = await callIds(kernel, "wrong");
  WRONG.forEach(([what, , said], index) => {
    const reply = all.find((one) => (one as { call_id?: string }).call_id === ids[index])!;
    assert.equal(reply.is_error, true, what);
    assert.match(reply.content, said, what);
  });
  assert.deepEqual(await written(kernel, "wrong"), []);
});

together("input that does not fit a written tool's schema never reaches it", {
  "use wrongly": [
    calls(["create_tool", { ...DOUBLE, name: "used_wrongly" }]),
    calls(["used_wrongly", { n: "x", more: 1 }]),
    end,
  ],
}, async (kernel) => {
  const [, called] = await run(kernel, "use wrongly");
  assert.equal(called.is_error, true);
  assert.match(called.content, /Invalid arguments for used_wrongly: n: .*number/);
});

together("a tool with a permission waits for a person, who sees source, manifest and tests", {
  ask: [
    calls(["create_tool", READER]),
    calls(["write_file", { path: "notes/b.txt", content: "from the workspace" }]),
    end,
  ],
}, async (kernel) => {
  const tree_id = await begin(kernel, "ask");
  const asked = await question(kernel, tree_id);
  assert.match(asked.issue, /reader, version 1.*read in the workspace: notes/);
  assert.ok(asked.detail!.includes(READER.source));
  assert.match(asked.detail!, /"name": "reads"/);
  assert.match(asked.detail!, /which run once you approve/);
  assert.deepEqual(await written(kernel, "reader"), []);
  assert.deepEqual(await replies(kernel, tree_id), []);
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  const [created] = await finished(kernel, tree_id);
  assert.match(created.content, /^Created reader, version 1\. 1 of 1 tests passed/);
  assert.deepEqual(await written(kernel, "reader"), ["reader 1"]);
});

together("an approved tool reads what its manifest names, and nothing else", {
  read: [
    calls(["create_tool", { ...READER, name: "approved" }], ["attach_tool", {
      name: "write_file",
    }]),
    calls(
      ["write_file", { path: "notes/b.txt", content: "inside" }],
      ["write_file", { path: "secret.txt", content: "the secret" }],
    ),
    calls(["approved", { path: "notes/b.txt" }], ["approved", { path: "secret.txt" }]),
    calls(["approved", { path: "../../../etc/passwd" }]),
    end,
  ],
}, async (kernel) => {
  const tree_id = await begin(kernel, "read");
  await decide(kernel, (await question(kernel, tree_id)).id, { decision: "approved", comment: "" });
  const all = await finished(kernel, tree_id);
  assert.ok(all.some(({ content }) => content === "inside"), JSON.stringify(all));
  assert.ok(!all.some(({ content }) => /the secret|root:/.test(content)));
  assert.equal(all.filter(({ content }) => /Requires read access/.test(content)).length, 2);
});

together("a tool that a person does not allow is refused with their words", {
  "ask in vain": [calls(["create_tool", { ...READER, name: "curious" }]), end],
}, async (kernel) => {
  const tree_id = await begin(kernel, "ask in vain");
  const { id } = await question(kernel, tree_id);
  await decide(kernel, id, { decision: "rejected", comment: "too curious" });
  const [reply] = await finished(kernel, tree_id);
  assert.equal(reply.is_error, true);
  assert.match(reply.content, /did not allow it: too curious/);
  assert.deepEqual(await written(kernel, "curious"), []);
});

together("a person decides in the page, and only once", {
  "ask in the page": [calls(["create_tool", { ...READER, name: "shown" }]), end],
}, async (kernel) => {
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const tree_id = await begin(kernel, "ask in the page");
  const { id } = await question(kernel, tree_id);
  const page = await (await app.request(`http://127.0.0.1/trees/${tree_id}`)).text();
  assert.ok(page.includes(`action="/reviews/${id}/decision"`));
  assert.match(page, /May the tool shown, version 1, be used/);
  const say = (decision: string) =>
    app.request(`http://127.0.0.1/reviews/${id}/decision`, {
      method: "POST",
      body: new URLSearchParams({ decision, comment: "" }),
    });
  assert.equal((await say("maybe")).status, 400);
  const decided = await say("approved");
  assert.equal(decided.status, 303);
  assert.equal(decided.headers.get("location"), `/trees/${tree_id}`);
  assert.equal((await say("rejected")).status, 409);
  assert.match((await finished(kernel, tree_id))[0].content, /^Created shown/);
});

const ONLINE = { ...DOUBLE, name: "online", permissions: { net: ["example.org"] } };

together("a tool that asks for the network, or to write, runs no test before a person allows it", {
  "go online": [calls(["create_tool", ONLINE]), end],
  "write somewhere": [
    calls(["create_tool", { ...DOUBLE, name: "writer", permissions: { write: ["out"] } }]),
    end,
  ],
}, async (kernel) => {
  const tries: string[] = [];
  const { tools } = kernel;
  const real = tools.try.bind(tools);
  tools.try = (tool, ...rest) => {
    tries.push(tool.name);
    return real(tool, ...rest);
  };
  const writing = await begin(kernel, "write somewhere");
  const { id } = await question(kernel, writing);
  const tree_id = await begin(kernel, "go online");
  const asked = await question(kernel, tree_id);
  assert.deepEqual(tries, []);
  await decide(kernel, id, { decision: "rejected", comment: "" });
  await finished(kernel, writing);
  assert.match(asked.detail!, /use the network: example\.org/);
  assert.match(asked.detail!, /which run once you approve/);
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  const [created] = await finished(kernel, tree_id);
  assert.match(created.content, /1 of 1 tests passed/);
  assert.deepEqual(tries, ["online"]);
  tools.try = real;
});

Deno.test("a question outlives the kernel that asked it", async () => {
  await using folder = await tempFolder();
  const script = { write: [calls(["create_tool", READER]), end] };
  const first = await start(folder.path, script);
  const tree_id = await begin(first, "write");
  const { id } = await question(first, tree_id);
  await first.stop();
  const second = await start(folder.path, script);
  await decide(second, id, { decision: "approved", comment: "" });
  const [created] = await finished(second, tree_id);
  assert.match(created.content, /^Created reader, version 1\. 1 of 1 tests passed/);
  await second.stop();
});

const TIMES = { ...DOUBLE, name: "times" };
const TRIPLE = {
  ...TIMES,
  source: "export default ({ n }: { n: number }): number => n * 3;",
  tests: [{ name: "two", input: { n: 2 }, expected: 6 }],
};

together("a new version is for later tasks; one that has the old version keeps it", {
  older: [
    calls(["create_tool", TIMES]),
    calls(["flag_for_review", { issue: "go on?", blocking: true }]),
    calls(["times", { n: 10 }]),
    end,
  ],
  newer: [calls(["create_tool", TRIPLE]), calls(["times", { n: 10 }]), end],
  later: [calls(["attach_tool", { name: "times" }]), calls(["times", { n: 10 }]), end],
}, async (kernel) => {
  const older = await begin(kernel, "older");
  const waiting = await question(kernel, older);
  // Another tree's tool: a person has to allow that it changes.
  const newer = await begin(kernel, "newer");
  const asked = await question(kernel, newer);
  assert.match(asked.issue, /times, version 2/);
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  assert.equal((await finished(kernel, newer))[1].content, "30");
  await decide(kernel, waiting.id, { decision: "approved", comment: "" });
  assert.equal((await finished(kernel, older)).at(-1)!.content, "20");
  assert.equal((await run(kernel, "later"))[1].content, "30");
});

const LONG = {
  ...DOUBLE,
  name: "long",
  input_schema: {
    type: "object",
    properties: { n: { type: "number" }, letter: { type: "string" } },
    required: ["n", "letter"],
  },
  tests: [{ name: "short", input: { n: 1, letter: "x" }, expected: "axz" }],
};

together("a result that is too long keeps head and tail, and the whole is in the workspace", {
  "say much": [calls(["create_tool", LONG]), calls(["long", { n: 200_000, letter: "x" }]), end],
}, async (kernel) => {
  const tree_id = await begin(kernel, "say much");
  const [, called] = await finished(kernel, tree_id);
  assert.ok(called.content.length < 110_000);
  const path = /the whole is in (\S+)/.exec(called.content)![1];
  const whole = await Deno.readTextFile(`${folder}/workspaces/${tree_id}/${path}`);
  assert.equal(whole.length, 200_002);
});

Deno.test("a machine without namespaces runs no written tool when containment is strict", async () => {
  await using folder = await tempFolder();
  const kernel = await start(folder.path, { write: [calls(["create_tool", DOUBLE]), end] }, {
    layers: { bwrap: false, prlimit: true },
    containment: "strict",
  });
  const [reply] = await run(kernel, "write");
  assert.equal(reply.is_error, true);
  assert.match(reply.content, /no bwrap.*CONTAINMENT is strict/);
  await kernel.stop();
});

Deno.test("a written tool runs without namespaces where there are none", async () => {
  await using folder = await tempFolder();
  const kernel = await start(folder.path, {
    write: [calls(["create_tool", DOUBLE]), calls(["double", { n: 4 }]), end],
  }, { layers: { bwrap: false, prlimit: false } });
  assert.equal((await run(kernel, "write"))[1].content, "8");
  await kernel.stop();
});

together(
  "a disabled tool can be neither called, attached nor written again, and a deleted one is gone",
  {
    "make one": [calls(["create_tool", { ...DOUBLE, name: "disabled" }]), end],
    "make another": [
      calls(["create_tool", { ...DOUBLE, name: "disabled", description: "Doubles once more" }]),
      end,
    ],
    "attach it": [calls(["attach_tool", { name: "disabled" }]), end],
  },
  async (kernel) => {
    await run(kernel, "make one");
    const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
    const ask = (method: string, path: string, body?: unknown) =>
      app.request(`http://127.0.0.1${path}`, {
        method,
        ...body === undefined ? {} : {
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" },
        },
      });
    const patched = await ask("PATCH", "/api/tools/disabled", { disabled: true });
    assert.equal((await patched.json()).disabled, true);
    assert.match((await run(kernel, "attach it"))[0].content, /no optional tool named disabled/);
    const [again] = await run(kernel, "make another");
    assert.match(again.content, /A person disabled disabled: choose another name/);
    assert.deepEqual(await written(kernel, "disabled"), ["disabled 1"]);
    await ask("PATCH", "/api/tools/disabled", { disabled: false });
    assert.equal((await run(kernel, "attach it"))[0].content, "Attached disabled");
    assert.equal((await ask("DELETE", "/api/tools/disabled")).status, 204);
    assert.equal((await ask("GET", "/api/tools/disabled")).status, 404);
    assert.equal((await ask("DELETE", "/api/tools/read_file")).status, 409);
    assert.equal((await ask("PATCH", "/api/tools/read_file", { disabled: true })).status, 409);
    assert.equal((await ask("PATCH", "/api/tools/nothing", { disabled: true })).status, 404);
  },
);

/** The versions of a tool that are there. */
async function written(kernel: TestKernel, name: string): Promise<string[]> {
  const rows = await kernel.read.selectFrom("tools").select(["name", "version"])
    .where("source", "is not", null).where("name", "=", name).orderBy("version").execute();
  return rows.map(({ name, version }) => `${name} ${version}`);
}

/** Ids of the calls of a task's first turn, in their order. */
async function callIds(kernel: TestKernel, instruction: string): Promise<string[]> {
  const { message_json } = await kernel.read.selectFrom("entries")
    .innerJoin("tasks", "tasks.id", "entries.task_id").select("message_json")
    .where("type", "=", "model.replied").where("tasks.instruction", "=", instruction)
    .orderBy("seq").limit(1).executeTakeFirstOrThrow();
  const { content } = JSON.parse(message_json) as { content: { type: string; id: string }[] };
  return content.filter(({ type }) => type === "tool_use").map(({ id }) => id);
}
