/** Tools that agents write, and the terminal: what is refused, what a person allows, what happens. */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import { decide } from "../support/agents.ts";
import type { TestKernel } from "../support/kernel.ts";
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
import { until } from "../support/until.ts";

const DOUBLE = {
  name: "double",
  description: "Doubles a number",
  input_schema: {
    type: "object",
    properties: { n: { type: "number" } },
    required: ["n"],
    additionalProperties: false,
  },
  source: "export default ({ n }: { n: number }): number => n * 2;",
  tests: [{ name: "two", input: { n: 2 }, expected: 4 }],
};

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

Deno.test("a tool that an agent writes is callable from its next turn, and prints into its log", async () => {
  await using folder = await tempFolder();
  const source =
    "export default ({ n }: { n: number }) => { console.log('doubling'); return n * 2; };";
  const kernel = await startAgents(folder.path, {
    write: [calls(["create_tool", { ...DOUBLE, source }]), calls(["double", { n: 21 }]), end],
  });
  const [created, called] = await run(kernel, "write");
  assert.match(created.content, /^Created double, version 1\. 1 of 1 tests passed/);
  assert.equal(called.content, "42");
  assert.equal(called.log, "doubling\n");
  await kernel.stop();
});

Deno.test("a tool with something wrong is refused with what is wrong, and is not registered", async () => {
  await using folder = await tempFolder();
  const cases: [what: string, change: Record<string, unknown>, said: RegExp][] = [
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
  ];
  const kernel = await startAgents(folder.path, {
    wrong: [
      calls(
        ...cases.map(([, change]) =>
          ["create_tool", { ...DOUBLE, ...change }] as [string, Record<string, unknown>]
        ),
      ),
      end,
    ],
  });
  const all = await run(kernel, "wrong");
  const ids = await callIds(kernel);
  cases.forEach(([what, , said], index) => {
    const reply = all.find((one) => (one as { call_id?: string }).call_id === ids[index])!;
    assert.equal(reply.is_error, true, what);
    assert.match(reply.content, said, what);
  });
  assert.deepEqual(await written(kernel), []);
  await kernel.stop();
});

Deno.test("input that does not fit a written tool's schema never reaches it", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    write: [calls(["create_tool", DOUBLE]), calls(["double", { n: "x", more: 1 }]), end],
  });
  const [, called] = await run(kernel, "write");
  assert.equal(called.is_error, true);
  assert.match(called.content, /Invalid arguments for double: n: .*number/);
  await kernel.stop();
});

Deno.test("a tool with a permission waits for a person, who sees source, manifest and tests", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    write: [
      calls(["create_tool", READER]),
      calls(["write_file", { path: "notes/b.txt", content: "from the workspace" }]),
      end,
    ],
  });
  const tree_id = await begin(kernel, "write");
  const asked = await question(kernel, tree_id);
  assert.match(asked.issue, /reader, version 1.*read in the workspace: notes/);
  assert.ok(asked.detail!.includes(READER.source));
  assert.match(asked.detail!, /1 of 1 tests passed/);
  assert.deepEqual(await written(kernel), []);
  assert.deepEqual(await replies(kernel, tree_id), []);
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  const [created] = await finished(kernel, tree_id);
  assert.match(created.content, /^Created reader, version 1/);
  assert.deepEqual(await written(kernel), ["reader 1"]);
  await kernel.stop();
});

Deno.test("an approved tool reads what its manifest names, and nothing else", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    write: [
      calls(["create_tool", READER], ["attach_tool", { name: "write_file" }]),
      calls(
        ["write_file", { path: "notes/b.txt", content: "inside" }],
        ["write_file", { path: "secret.txt", content: "the secret" }],
      ),
      calls(["reader", { path: "notes/b.txt" }], ["reader", { path: "secret.txt" }]),
      calls(["reader", { path: "../../../etc/passwd" }]),
      end,
    ],
  });
  const tree_id = await begin(kernel, "write");
  await decide(kernel, (await question(kernel, tree_id)).id, { decision: "approved", comment: "" });
  const all = await finished(kernel, tree_id);
  assert.ok(all.some(({ content }) => content === "inside"), JSON.stringify(all));
  assert.ok(!all.some(({ content }) => /the secret|root:/.test(content)));
  assert.equal(all.filter(({ content }) => /Requires read access/.test(content)).length, 2);
  await kernel.stop();
});

Deno.test("a tool that a person does not allow is refused with their words", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, { write: [calls(["create_tool", READER]), end] });
  const tree_id = await begin(kernel, "write");
  const { id } = await question(kernel, tree_id);
  await decide(kernel, id, { decision: "rejected", comment: "too curious" });
  const [reply] = await finished(kernel, tree_id);
  assert.equal(reply.is_error, true);
  assert.match(reply.content, /did not allow it: too curious/);
  assert.deepEqual(await written(kernel), []);
  await kernel.stop();
});

Deno.test("a person decides in the page, and only once", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, { write: [calls(["create_tool", READER]), end] });
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const tree_id = await begin(kernel, "write");
  const { id } = await question(kernel, tree_id);
  const page = await (await app.request(`http://127.0.0.1/trees/${tree_id}`)).text();
  assert.ok(page.includes(`action="/reviews/${id}/decision"`));
  assert.match(page, /May the tool reader, version 1, be used/);
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
  assert.match((await finished(kernel, tree_id))[0].content, /^Created reader/);
  await kernel.stop();
});

Deno.test("a tool that asks for the network runs no test before a person allows it", async () => {
  await using folder = await tempFolder();
  const tool = { ...DOUBLE, permissions: { net: ["example.org"] } };
  const kernel = await startAgents(folder.path, { write: [calls(["create_tool", tool]), end] });
  const tree_id = await begin(kernel, "write");
  const asked = await question(kernel, tree_id);
  assert.match(asked.detail!, /use the network: example\.org/);
  assert.match(asked.detail!, /they run once you approve/);
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  const [created] = await finished(kernel, tree_id);
  assert.match(created.content, /1 of 1 tests passed/);
  await kernel.stop();
});

Deno.test("a question outlives the kernel that asked it", async () => {
  await using folder = await tempFolder();
  const script = { write: [calls(["create_tool", READER]), end] };
  const first = await startAgents(folder.path, script);
  const tree_id = await begin(first, "write");
  const { id } = await question(first, tree_id);
  await first.stop();
  const second = await startAgents(folder.path, script);
  await decide(second, id, { decision: "approved", comment: "" });
  const [created] = await finished(second, tree_id);
  assert.match(created.content, /^Created reader, version 1/);
  await second.stop();
});

Deno.test("a new version is for later tasks; one that has the old version keeps it", async () => {
  await using folder = await tempFolder();
  const triple = {
    ...DOUBLE,
    source: "export default ({ n }: { n: number }): number => n * 3;",
    tests: [{ name: "two", input: { n: 2 }, expected: 6 }],
  };
  const kernel = await startAgents(folder.path, {
    older: [
      calls(["create_tool", DOUBLE]),
      calls(["flag_for_review", { issue: "go on?", blocking: true }]),
      calls(["double", { n: 10 }]),
      end,
    ],
    newer: [calls(["create_tool", triple]), calls(["double", { n: 10 }]), end],
    later: [calls(["attach_tool", { name: "double" }]), calls(["double", { n: 10 }]), end],
  });
  const older = await begin(kernel, "older");
  const waiting = await question(kernel, older);
  // Another tree's tool: a person has to allow that it changes.
  const newer = await begin(kernel, "newer");
  const asked = await question(kernel, newer);
  assert.match(asked.issue, /double, version 2/);
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  assert.equal((await finished(kernel, newer))[1].content, "30");
  await decide(kernel, waiting.id, { decision: "approved", comment: "" });
  assert.equal((await finished(kernel, older)).at(-1)!.content, "20");
  assert.equal((await run(kernel, "later"))[1].content, "30");
  await kernel.stop();
});

Deno.test("a result that is too long keeps head and tail, and the whole is in the workspace", async () => {
  await using folder = await tempFolder();
  const long = {
    ...DOUBLE,
    source: "export default ({ n }: { n: number }): string => 'a' + 'x'.repeat(n) + 'z';",
    tests: [{ name: "short", input: { n: 1 }, expected: "axz" }],
  };
  const kernel = await startAgents(folder.path, {
    write: [calls(["create_tool", long]), calls(["double", { n: 200_000 }]), end],
  });
  const tree_id = await begin(kernel, "write");
  const [, called] = await finished(kernel, tree_id);
  assert.ok(called.content.length < 110_000);
  const path = /the whole is in (\S+)/.exec(called.content)![1];
  const whole = await Deno.readTextFile(`${folder.path}/workspaces/${tree_id}/${path}`);
  assert.equal(whole.length, 200_002);
  await kernel.stop();
});

Deno.test("a machine without namespaces runs no written tool when containment is strict", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, { write: [calls(["create_tool", DOUBLE]), end] }, {
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
  const kernel = await startAgents(folder.path, {
    write: [calls(["create_tool", DOUBLE]), calls(["double", { n: 4 }]), end],
  }, { layers: { bwrap: false, prlimit: false } });
  assert.equal((await run(kernel, "write"))[1].content, "8");
  await kernel.stop();
});

Deno.test("a disabled tool can be neither called nor attached, and a deleted one is gone", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    write: [calls(["create_tool", DOUBLE]), end],
    attach: [calls(["attach_tool", { name: "double" }]), end],
  });
  await run(kernel, "write");
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const ask = (method: string, path: string, body?: unknown) =>
    app.request(`http://127.0.0.1${path}`, {
      method,
      ...body === undefined ? {} : {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      },
    });
  const patched = await ask("PATCH", "/api/tools/double", { disabled: true });
  assert.equal((await patched.json()).disabled, true);
  assert.match((await run(kernel, "attach"))[0].content, /no optional tool named double/);
  await ask("PATCH", "/api/tools/double", { disabled: false });
  assert.equal((await run(kernel, "attach"))[0].content, "Attached double");
  assert.equal((await ask("DELETE", "/api/tools/double")).status, 204);
  assert.equal((await ask("GET", "/api/tools/double")).status, 404);
  assert.equal((await ask("DELETE", "/api/tools/read_file")).status, 409);
  assert.equal((await ask("PATCH", "/api/tools/read_file", { disabled: true })).status, 409);
  assert.equal((await ask("PATCH", "/api/tools/nothing", { disabled: true })).status, 404);
  await kernel.stop();
});

Deno.test("a command runs in the workspace, sees nothing outside, and has no network", async () => {
  await using folder = await tempFolder();
  const command = (command: string) => calls(["use_terminal", { command }]);
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      command("echo hello > a.txt; cat a.txt; echo problem >&2; exit 3"),
      command(`ls ${folder.path} /root /home; cat /etc/passwd; ls /proc | grep -c '^[0-9]'`),
      command("cat < /dev/tcp/127.0.0.1/1 || echo no network; ip link 2>/dev/null | wc -l"),
      command("printf 'red \\033[31mtext\\a'"),
      end,
    ],
  });
  const [, first, outside, network, escapes] = await run(kernel, "shell");
  assert.match(first.content, /^Exit code 3\nhello\nproblem\n$/);
  assert.equal(first.is_error, true);
  assert.ok(!/root:|lost\+found|troupe\.db/.test(outside.content), outside.content);
  assert.match(network.content, /no network/);
  assert.equal(escapes.content, "Exit code 0\nred text");
  await kernel.stop();
});

Deno.test("a command that runs too long is ended with all that it started", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      calls(["use_terminal", { command: "sleep 61.7 & sleep 61.7", timeout_seconds: 1 }]),
      end,
    ],
  });
  const [, reply] = await run(kernel, "shell");
  assert.match(reply.content, /^Ended from outside: it ran longer than 1 s/);
  await until("the end of the sleepers", async () => {
    const { stdout } = await new Deno.Command("ps", { args: ["-e", "-o", "args="] }).output();
    return !new TextDecoder().decode(stdout).includes("sleep 61.7");
  }, 5_000);
  await kernel.stop();
});

Deno.test("a command that starts hundreds of processes is ended with all of them", async () => {
  await using folder = await tempFolder();
  const command = "i=0; while [ $i -lt 400 ]; do sleep 61.8 & i=$((i+1)); done; sleep 61.8";
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      calls(["use_terminal", { command, timeout_seconds: 2 }]),
      end,
    ],
  });
  const [, reply] = await run(kernel, "shell");
  // An ordinary user's limit refuses most of them; root's does not hold, and then the deadline ends all.
  assert.match(reply.content, /ran longer than 2 s|annot fork/);
  await until("the end of the sleepers", async () => {
    const { stdout } = await new Deno.Command("ps", { args: ["-e", "-o", "args="] }).output();
    return !new TextDecoder().decode(stdout).includes("sleep 61.8");
  }, 5_000);
  await kernel.stop();
});

Deno.test("a command that fills the workspace is ended", async () => {
  await using folder = await tempFolder();
  // Files with holes: they count by their size, and cost no disk.
  const command = "for i in 1 2 3 4 5 6 7 8 9; do truncate -s 250M f$i; done; sleep 61.9";
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      calls(["use_terminal", { command }]),
      end,
    ],
  });
  const [, reply] = await run(kernel, "shell");
  assert.match(reply.content, /^Ended from outside: the workspace grew over 2048 MB/);
  await kernel.stop();
});

Deno.test("a command without namespaces waits for a person, and runs once they allow it", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      calls(["use_terminal", { command: "echo allowed > done.txt; cat done.txt" }]),
      end,
    ],
  }, { layers: { bwrap: false, prlimit: true } });
  const tree_id = await begin(kernel, "shell");
  const asked = await question(kernel, tree_id);
  assert.equal(asked.detail, "echo allowed > done.txt; cat done.txt");
  assert.match(asked.issue, /no bwrap/);
  const file = `${folder.path}/workspaces/${tree_id}/done.txt`;
  await assert.rejects(Deno.stat(file));
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  const [, reply] = await finished(kernel, tree_id);
  assert.equal(reply.content, "Exit code 0\nallowed\n");
  await kernel.stop();
});

Deno.test("a command that asks for the network waits for a person", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      calls(["use_terminal", { command: "true", network: true }]),
      end,
    ],
  });
  const tree_id = await begin(kernel, "shell");
  const asked = await question(kernel, tree_id);
  assert.match(asked.issue, /network/);
  await decide(kernel, asked.id, { decision: "rejected", comment: "" });
  const [, reply] = await finished(kernel, tree_id);
  assert.match(reply.content, /did not allow it/);
  await kernel.stop();
});

async function written(kernel: TestKernel): Promise<string[]> {
  const rows = await kernel.read.selectFrom("tools").select(["name", "version"])
    .where("source", "is not", null).orderBy("name").orderBy("version").execute();
  return rows.map(({ name, version }) => `${name} ${version}`);
}

/** Ids of the calls of the first turn, in their order. */
async function callIds(kernel: TestKernel): Promise<string[]> {
  const { message_json } = await kernel.read.selectFrom("entries").select("message_json")
    .where("type", "=", "model.replied").orderBy("seq").limit(1).executeTakeFirstOrThrow();
  const { content } = JSON.parse(message_json) as { content: { type: string; id: string }[] };
  return content.filter(({ type }) => type === "tool_use").map(({ id }) => id);
}
