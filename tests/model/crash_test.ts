/** A kernel that is killed while its model speaks, and one that crashes, with a key in its memory. */
import assert from "node:assert/strict";
import { begin, ended, type WholeTree } from "../support/api.ts";
import {
  type Asked,
  assertPaired,
  type Block,
  call,
  events,
  type MessagesServer,
  messagesServer,
  openStream,
} from "../support/messages_server.ts";
import { end, KEY } from "../support/talk.ts";
import { freePort, startTroupe, type Troupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

const COMMAND = "touch begun; sleep 60";

let server: MessagesServer;
let troupe: Troupe;
/** What the two trees ended as at whose work the first kernel was killed. */
let speaking: WholeTree;
let working: WholeTree;

Deno.test.beforeAll(async () => {
  server = messagesServer(({ task, turn }) => task === "work" ? work(turn) : speak());
  // On a port that a kernel which is started again keeps.
  troupe = await startTroupe({
    env: { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: KEY, PORT: String(freePort()) },
  });
  const { url, data_dir } = troupe;
  const spoken = await begin(url, {
    instruction: "speak",
    agent: "generalist",
    after_task: "none",
    budget: { tokens: 1_000_000 },
  });
  const worked = await begin(url, {
    instruction: "work",
    agent: "tool_addition",
    after_task: "none",
  });
  await until("the question", () => askedOf("speak").length === 1);
  const begun = `${data_dir}/workspaces/${worked}/begun`;
  await until("the command", () => Deno.stat(begun).catch(() => null));
  Deno.kill(await troupe.kernelPid(), "SIGKILL");
  const endOf = (id: string) => until("the end", () => ended(url, id).catch(() => null));
  [speaking, working] = await Promise.all([endOf(spoken), endOf(worked)]);
});
Deno.test.afterAll(async () => {
  await troupe?.stop();
  await server[Symbol.asyncDispose]();
});

function speak(): Block[] | Response {
  const half = events([{ type: "text", text: "half a reply" }], "end_turn").slice(0, 3);
  return askedOf("speak").length === 1 ? openStream(half).response : end("whole");
}

function work(turn: number): Block[] {
  if (turn === 0) return [call("call_1", "attach_tool", { name: "use_terminal" })];
  if (turn > 1) return end("seen");
  return [
    call("call_a", "use_terminal", { command: COMMAND }),
    call("call_b", "list_optional_tools", {}),
  ];
}

function askedOf(task: string): Asked[] {
  return server.asked.filter((asked) => asked.task === task);
}

Deno.test("a kernel that is killed in the middle of a reply asks for the same turn again, within the budget", () => {
  assert.equal(speaking.result, "whole");
  const [first, second, ...more] = askedOf("speak").map(({ body }) => body);
  // What the first may have cost stays set aside: the second may be shorter, and is the same otherwise.
  assert.deepEqual({ ...first, max_tokens: 0 }, { ...second, max_tokens: 0 });
  assert.equal(more.length, 0);
  assert.equal(speaking.usage.input_tokens, 7 + 3);
});

Deno.test("a command that a killed kernel had begun is answered as interrupted, and each call has its result", () => {
  assert.equal(working.result, "seen");
  const { messages } = askedOf("work").at(-1)!.body;
  assertPaired(messages);
  const [interrupted, listed] = messages.at(-1).content;
  assert.equal(interrupted.content, "interrupted: outcome unknown");
  assert.equal(interrupted.is_error, true);
  assert.match(listed.content, /- use_terminal: /);
});

Deno.test("a kernel that crashes leaves its key in no core dump, no log and no file", async () => {
  const before = await troupe.kernelPid();
  // A process that may not read there by itself.
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${before}/limits`] }).output();
  const limits = new TextDecoder().decode(stdout);
  assert.match(limits, /Max core file size\s+0\s+0\s/);
  Deno.kill(before, "SIGABRT");
  await until("a new kernel", () => troupe.log().includes("The kernel died (signal SIGABRT)"));
  await until("its process", async () => await troupe.kernelPid() !== before);
  const id = await until(
    "an answer",
    () =>
      begin(troupe.url, { instruction: "x", agent: "generalist", after_task: "none" })
        .catch(() => null),
  );
  await ended(troupe.url, id);
  assert.ok(!troupe.log().includes(KEY));
  for await (const { path, bytes } of files(troupe.data_dir)) {
    assert.ok(!new TextDecoder("latin1").decode(bytes).includes(KEY), path);
  }
});

async function* files(folder: string): AsyncGenerator<{ path: string; bytes: Uint8Array }> {
  for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* files(path);
    else if (isFile) yield { path, bytes: await Deno.readFile(path) };
  }
}
