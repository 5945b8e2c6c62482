/** A run in the terminal, with the grants of the real launcher, against a server on loopback. */
import assert from "node:assert/strict";
import { tempFolder } from "../support/folder.ts";
import {
  type Asked,
  type Block,
  call,
  failure,
  messagesServer,
} from "../support/messages_server.ts";
import { end, KEY } from "../support/talk.ts";
import { runLauncher } from "../support/troupe.ts";

Deno.test("a run in the terminal, with the grants of the real launcher, is answered by the server", async () => {
  await using folder = await tempFolder();
  await using server = messagesServer(({ agent, task, turn, body }) => {
    if (agent !== "agent_selector") return end(`${agent} with ${body.model}`);
    if (turn === 0) return [subtask(task)];
    return end(resultsIn(body)[0]);
  });
  const { code, stdout, stderr } = await runLauncher(["run", "Say who you are"], {
    DATA_DIR: folder.path,
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: server.url,
    TROUPE_MODEL: "one-for-all",
  });
  assert.equal(stdout, "generalist with one-for-all\n", stderr);
  assert.equal(code, 0);
  assert.ok(!stderr.includes(KEY));
  assert.doesNotMatch(stderr, /offline model/);
});

Deno.test("a run in the terminal completes a tree of three levels whose subtasks are asked for side by side", async () => {
  await using folder = await tempFolder();
  const together = new Rendezvous(2);
  await using server = messagesServer(async ({ agent, task, turn, body }) => {
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
      case "the whole":
        return [subtask("the left part"), subtask("the right part")];
      case "the left part":
        await together.arrive();
        return end("left");
      case "the right part":
        await together.arrive();
        return [subtask("what is below")];
      case "what is below":
        return end("right, from below");
      default:
        return failure(400, "invalid_request_error", `Nobody knows ${task}`);
    }
  });
  const { code, stdout, stderr } = await runLauncher(["run", "the whole"], {
    DATA_DIR: folder.path,
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: server.url,
  });
  // Both halves were under way at once, or neither would have been answered.
  assert.equal(together.here, 2, stderr);
  const own = server.asked.filter(({ agent }) => agent === "generalist");
  assert.deepEqual(depthsOf(own), {
    "the whole": 1,
    "the left part": 2,
    "the right part": 2,
    "what is below": 3,
  });
  assert.equal(stdout, "(left) + ((right, from below))\n", stderr);
  assert.equal(code, 0);
});

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

function subtask(task_instruction: string): Block {
  const input = { task_instruction, agent_type: "generalist" };
  return call(`call_${task_instruction.replaceAll(" ", "_")}`, "start_subtask", input);
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
