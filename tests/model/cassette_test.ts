/** Model calls that are recorded, and played back without a model. */
import assert from "node:assert/strict";
import { tempFolder } from "../support/folder.ts";
import { type Block, call, failure, messagesServer } from "../support/messages_server.ts";
import { end, KEY, talk } from "../support/talk.ts";
import { runLauncher } from "../support/troupe.ts";

const LEAKED = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";

/** Two subtasks side by side, an error in between, and a secret in the task. */
function answer({ agent, task, turn, body }: {
  agent: string;
  task: string;
  turn: number;
  // deno-lint-ignore no-explicit-any -- what was sent
  body: any;
}): Block[] {
  const results = (body.messages.at(-1).content as Block[])
    .filter(({ type }) => type === "tool_result")
    .map(({ content }) => JSON.parse(content as string))
    .map(({ result, summary }) => result ?? summary);
  if (agent === "agent_selector") {
    if (turn > 0) return end(results[0]);
    return [
      call("call_1", "start_subtask", { task_instruction: task, agent_type: "generalist" }),
    ];
  }
  if (agent === "summary_agent") return end(`summary of ${/instruction>(\w+)/.exec(task)?.[1]}`);
  if (!task.startsWith("Split")) return end(`did ${task}`);
  if (turn > 0) return end(results.join(" and "));
  return ["one", "two"].map((part, index) =>
    call(`call_${index}`, "start_subtask", { task_instruction: part, agent_type: "generalist" })
  );
}

const TASK = `Split this; the password: hunter2hunter2, ${LEAKED}`;

/** Runs the task with the environment given, in a data folder. */
async function run(data: string, env: Record<string, string>, task = TASK) {
  return await runLauncher(["run", task], { DATA_DIR: data, ...env });
}

Deno.test("a run is recorded without its secrets, and played back without key and model to the same end", async () => {
  await using first = await tempFolder();
  await using second = await tempFolder();
  const settings = { ANTHROPIC_API_KEY: KEY, TROUPE_MODEL: "recorded-one" };
  let recorded: string;
  {
    await using server = messagesServer(answer);
    const env = { ...settings, ANTHROPIC_BASE_URL: server.url, MODEL_CASSETTE: "record" };
    const { stdout, stderr } = await run(first.path, env);
    assert.equal(stdout, "summary of one and summary of two\n", stderr);
    const [file] = await Array.fromAsync(Deno.readDir(`${first.path}/cassettes`));
    recorded = `${first.path}/cassettes/${file.name}`;
  }
  const text = await Deno.readTextFile(recorded);
  for (const secret of [KEY, LEAKED, "hunter2hunter2"]) assert.ok(!text.includes(secret), secret);
  assert.equal((await Deno.stat(recorded)).mode! & 0o777, 0o600);
  // In another folder, where every id is another one, and nothing listens.
  await Deno.mkdir(`${second.path}/cassettes`);
  await Deno.copyFile(recorded, `${second.path}/cassettes/report.jsonl`);
  const replayed = await run(second.path, { MODEL_CASSETTE: "replay" });
  assert.equal(replayed.stdout, "summary of one and summary of two\n", replayed.stderr);
  assert.doesNotMatch(replayed.stderr, /offline model/);
});

Deno.test("a call that no recording fits fails its task and says where it differs", async () => {
  await using folder = await tempFolder();
  await using first = await talk(() => end("over"), {
    cassette: { folder: folder.path, mode: "record" },
  });
  await first.run("Compute 1 + 1");
  await using second = await talk(() => end("over"), {
    cassette: { folder: folder.path, mode: "replay" },
  });
  const { status, reason } = await second.run("Compute 1 + 2");
  assert.equal(status, "failed");
  assert.match(reason!, /No recorded call fits this one.*Compute 1 \+ 2.*Compute 1 \+ 1/s);
});

Deno.test("a start with nothing to replay, or with a file that is no recording, says so", async () => {
  await using folder = await tempFolder();
  const nothing = await run(folder.path, { MODEL_CASSETTE: "replay" });
  assert.equal(nothing.code, 78, nothing.stderr);
  assert.match(nothing.stderr, /Cannot start: There is nothing to replay/);
  await Deno.writeTextFile(`${folder.path}/cassettes/x.jsonl`, "{}\n");
  const wrong = await run(folder.path, { MODEL_CASSETTE: "replay" });
  assert.equal(wrong.code, 78);
  assert.match(wrong.stderr, /x\.jsonl:1 is no recording of Troupe's/);
});

Deno.test("a failure is recorded and played back like any other answer", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/cassettes`);
  const cassette = { folder: `${folder.path}/cassettes` };
  const failing = () => failure(400, "invalid_request_error", "no such field");
  await using first = await talk(failing, { cassette: { ...cassette, mode: "record" } });
  const { reason } = await first.run("x");
  await using second = await talk(failing, { cassette: { ...cassette, mode: "replay" } });
  assert.equal((await second.run("x")).reason, reason);
  assert.equal(second.asked.length, 0);
});
