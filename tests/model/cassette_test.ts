/** Model calls that are recorded, and played back without a model. */
import assert from "node:assert/strict";
import { recordedModels } from "../../runtime/model/cassette.ts";
import { tempFolder } from "../support/folder.ts";
import { rows } from "../support/long.ts";
import { type Answer, failure } from "../support/messages_server.ts";
import { end, type Talk, talk, type TreeEnd } from "../support/talk.ts";
import { runLauncher } from "../support/troupe.ts";

const answer: Answer = ({ task }) =>
  task === "fail" ? failure(400, "invalid_request_error", "no such field") : end("over");

let recordings: Awaited<ReturnType<typeof tempFolder>>;
/** Its task is `fail`. */
let failed: TreeEnd;
let replaying: Talk;
Deno.test.beforeAll(async () => {
  recordings = await tempFolder();
  const folder = recordings.path;
  {
    await using one = await talk(answer, { cassette: { folder, mode: "record" } });
    await one.run("Compute 1 + 1");
    failed = await one.run("fail");
  }
  replaying = await talk(answer, { cassette: { folder, mode: "replay" } });
});
Deno.test.afterAll(async () => {
  await replaying?.[Symbol.asyncDispose]();
  await recordings[Symbol.asyncDispose]();
});

Deno.test("a call that no recording fits fails its task and says where it differs", async () => {
  const { status, reason } = await replaying.run("Compute 1 + 2");
  assert.equal(status, "failed");
  assert.match(reason!, /No recorded call fits this one.*Compute 1 \+ 2.*Compute 1 \+ 1/s);
});

Deno.test("a failure is recorded and played back like any other answer", async () => {
  assert.match(failed.reason!, /no such field/);
  assert.equal((await replaying.run("fail")).reason, failed.reason);
  assert.equal(replaying.asked.length, 0);
});

Deno.test("a start with nothing to replay, or with a file that is no recording, says so", async () => {
  for (
    const [file, said] of rows(
      [
        ["x.jsonl", /x\.jsonl:1 is no recording of Troupe's/],
        [null, /There is nothing to replay/],
      ] as const,
    )
  ) {
    await using folder = await tempFolder();
    const cassettes = `${folder.path}/cassettes`;
    await Deno.mkdir(cassettes);
    await assert.rejects(recordedModels(cassettes), /There is nothing to replay/);
    if (file) await Deno.writeTextFile(`${cassettes}/${file}`, "{}\n");
    const { code, stderr } = await runLauncher(["run", "x"], {
      DATA_DIR: folder.path,
      MODEL_CASSETTE: "replay",
    });
    assert.equal(code, 78, stderr);
    assert.match(stderr, /Cannot start: /);
    assert.match(stderr, said);
  }
});
