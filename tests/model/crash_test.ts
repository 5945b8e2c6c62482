/** A kernel that is killed while its model speaks, and one that crashes, with a key in its memory. */
import assert from "node:assert/strict";
import { begin, ended, type WholeTree } from "../support/api.ts";
import {
  assertPaired,
  call,
  events,
  type MessagesServer,
  messagesServer,
  openStream,
} from "../support/messages_server.ts";
import { end, KEY } from "../support/talk.ts";
import { freePort, startTroupe, type Troupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

Deno.test("a kernel that is killed in the middle of a reply asks for the same turn again, within the budget", async () => {
  const half = events([{ type: "text", text: "half a reply" }], "end_turn").slice(0, 3);
  await using server = messagesServer(() =>
    server.asked.length === 1 ? openStream(half).response : end("whole")
  );
  await using troupe = await start(server);
  const id = await begin(troupe.url, {
    instruction: "x",
    agent: "generalist",
    after_task: "none",
    budget: { tokens: 1_000_000 },
  });
  await until("the question", () => server.asked.length === 1);
  const tree = await endedAfterKill(troupe, id);
  assert.equal(tree.result, "whole");
  const [first, second] = server.asked.map(({ body }) => body);
  // What the first may have cost stays set aside: the second may be shorter, and is the same otherwise.
  assert.deepEqual({ ...first, max_tokens: 0 }, { ...second, max_tokens: 0 });
  assert.equal(server.asked.length, 2);
  assert.equal(tree.usage.input_tokens, 7 + 3);
});

Deno.test("a command that a killed kernel had begun is answered as interrupted, and each call has its result", async () => {
  const command = "touch begun; sleep 60";
  await using server = messagesServer(({ turn }) => {
    if (turn === 0) return [call("call_1", "attach_tool", { name: "use_terminal" })];
    if (turn > 1) return end("seen");
    return [call("call_a", "use_terminal", { command }), call("call_b", "list_optional_tools", {})];
  });
  await using troupe = await start(server);
  const id = await begin(troupe.url, {
    instruction: "x",
    agent: "tool_addition",
    after_task: "none",
  });
  const begun = `${troupe.data_dir}/workspaces/${id}/begun`;
  await until("the command", () => Deno.stat(begun).catch(() => null));
  const tree = await endedAfterKill(troupe, id);
  assert.equal(tree.result, "seen");
  const { messages } = server.asked.at(-1)!.body;
  assertPaired(messages);
  const [interrupted, listed] = messages.at(-1).content;
  assert.equal(interrupted.content, "interrupted: outcome unknown");
  assert.equal(interrupted.is_error, true);
  assert.match(listed.content, /- use_terminal: /);
});

Deno.test("a kernel that crashes leaves its key in no core dump, no log and no file", async () => {
  await using server = messagesServer(() => end("over"));
  await using troupe = await start(server, { ANTHROPIC_API_KEY: KEY });
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

/** Troupe with this model, on a port that a kernel which is started again keeps. */
function start({ url }: MessagesServer, env: Record<string, string> = {}): Promise<Troupe> {
  return startTroupe({ env: { ANTHROPIC_BASE_URL: url, PORT: String(freePort()), ...env } });
}

/** Kills the kernel; gives the tree as the next one ends it. */
async function endedAfterKill(troupe: Troupe, id: string): Promise<WholeTree> {
  Deno.kill(await troupe.kernelPid(), "SIGKILL");
  return await until("the end", () => ended(troupe.url, id).catch(() => null));
}

async function* files(folder: string): AsyncGenerator<{ path: string; bytes: Uint8Array }> {
  for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* files(path);
    else if (isFile) yield { path, bytes: await Deno.readFile(path) };
  }
}
