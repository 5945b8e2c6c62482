/**
 * A run in the terminal, with the grants of the real launcher, against a server on loopback: it is recorded,
 * and the recording is run without the server.
 */
import assert from "node:assert/strict";
import { tempFolder } from "../support/folder.ts";
import {
  type Answer,
  type Asked,
  type Block,
  call,
  failure,
  type MessagesServer,
  messagesServer,
} from "../support/messages_server.ts";
import { end, KEY } from "../support/talk.ts";
import { type Ended, runLauncher } from "../support/troupe.ts";

const LEAKED = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
const TASK = `the whole; the password: hunter2hunter2, ${LEAKED}`;
const RESULT = "(generalist with one-for-all) + ((right, from below))\n";

let folder: Awaited<ReturnType<typeof tempFolder>>;
let asked: MessagesServer["asked"];
let ran: Ended;
Deno.test.beforeAll(async () => {
  folder = await tempFolder();
  await using server = messagesServer(answer);
  asked = server.asked;
  ran = await runLauncher(["run", TASK], {
    DATA_DIR: folder.path,
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: server.url,
    TROUPE_MODEL: "one-for-all",
    MODEL_CASSETTE: "record",
  });
});
Deno.test.afterAll(async () => await folder[Symbol.asyncDispose]());

Deno.test("a run in the terminal, with the grants of the real launcher, is answered by the server", () => {
  const { code, stdout, stderr } = ran;
  assert.match(stdout, /generalist with one-for-all/, stderr);
  assert.equal(code, 0);
  assert.ok(!stderr.includes(KEY));
  assert.doesNotMatch(stderr, /offline model/);
});

Deno.test("a run in the terminal completes a tree of three levels whose subtasks are asked for side by side", () => {
  // Both halves were under way at once, or neither would have been answered.
  assert.equal(together.here, 2, ran.stderr);
  const own = asked.filter(({ agent }) => agent === "generalist");
  assert.deepEqual(depthsOf(own), {
    [TASK]: 1,
    "the left part": 2,
    "the right part": 2,
    "what is below": 3,
  });
  assert.equal(ran.stdout, RESULT, ran.stderr);
});

Deno.test("a run is recorded without its secrets, and played back without key and model to the same end", async () => {
  const [file] = await Array.fromAsync(Deno.readDir(`${folder.path}/cassettes`));
  const recorded = `${folder.path}/cassettes/${file.name}`;
  const text = await Deno.readTextFile(recorded);
  for (const secret of [KEY, LEAKED, "hunter2hunter2"]) assert.ok(!text.includes(secret), secret);
  assert.equal((await Deno.stat(recorded)).mode! & 0o777, 0o600);
  // In another folder, where every id is another one, and nothing listens.
  await using other = await tempFolder();
  await Deno.mkdir(`${other.path}/cassettes`);
  await Deno.copyFile(recorded, `${other.path}/cassettes/report.jsonl`);
  const env = { DATA_DIR: other.path, MODEL_CASSETTE: "replay" };
  const replayed = await runLauncher(["run", TASK], env);
  assert.equal(replayed.stdout, RESULT, replayed.stderr);
  assert.doesNotMatch(replayed.stderr, /offline model/);
});

/** Two subtasks side by side, one of them with a subtask of its own. */
const answer: Answer = async ({ agent, task, turn, body }) => {
  if (agent === "agent_selector") {
    return turn === 0 ? [subtask(task)] : end(resultsIn(body)[0]);
  }
  // Each task has a summary made for the one above it, and is looked at by two more agents.
  if (agent === "summary_agent") {
    const [, result] = /&lt;result>(.*)&lt;\/result>/.exec(task)!;
    return end(`(${result})`);
  }
  if (agent !== "generalist") return end("noted");
  if (turn > 0) return end(resultsIn(body).join(" + "));
  switch (task) {
    case TASK:
      return [subtask("the left part"), subtask("the right part")];
    case "the left part":
      await together.arrive();
      return end(`${agent} with ${body.model}`);
    case "the right part":
      await together.arrive();
      return [subtask("what is below")];
    case "what is below":
      return end("right, from below");
    default:
      return failure(400, "invalid_request_error", `Nobody knows ${task}`);
  }
};

/** So many requests are held until all of them are there. */
class Rendezvous {
  readonly #all = Promise.withResolvers<void>();
  here = 0;

  constructor(readonly awaited: number) {}

  async arrive(): Promise<void> {
    if (++this.here === this.awaited) this.#all.resolve();
    await this.#all.promise;
  }
}

const together = new Rendezvous(2);

function subtask(task_instruction: string): Block {
  const input = { task_instruction, agent_type: "generalist" };
  // Two words tell them apart, and are no secret.
  const [, first, second] = /^(\w+) (\w+)/.exec(task_instruction)!;
  return call(`call_${first}_${second}`, "start_subtask", input);
}

/** What the calls of the last turn came to. */
function resultsIn(body: Asked["body"]): string[] {
  return body.messages.at(-1).content.map(({ content }: { content: string }) => {
    const { result, summary, reason } = JSON.parse(content);
    return result ?? summary ?? reason;
  });
}

/** How deep each task stands, as its own prompt says. */
function depthsOf(asked: readonly Asked[]): Record<string, number> {
  return Object.fromEntries(asked.map(({ task, body }) => {
    const system = body.system.map(({ text }: { text: string }) => text).join("\n");
    return [task, Number(/<task [^>]*depth="(\d+)"/.exec(system)![1])];
  }));
}
