/** The model's key: what has it, and where it must never stand. */
import assert from "node:assert/strict";
import { failure } from "../support/messages_server.ts";
import { end, KEY } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";

const log: string[] = [];
const talk = talksInTurn({ log: (line) => void log.push(line) });

Deno.test("the key is in the header of every request, and in no body", async () => {
  await using one = talk(() => end("over"));
  await one.run("x");
  for (const { headers, body } of one.asked) {
    assert.ok([headers.get("x-api-key"), headers.get("authorization")].join().includes(KEY));
    assert.ok(!JSON.stringify(body).includes(KEY));
  }
});

Deno.test("the key stands in no message, journal, error or database", async () => {
  let asked = 0;
  await using one = talk(() =>
    ++asked === 1 ? failure(400, "invalid_request_error", `bad key ${KEY}`) : end("over")
  );
  const tree = await one.run("x");
  assert.match(tree.reason!, /bad key …/);
  await one.run("y");
  for await (const { name, isFile } of Deno.readDir(one.folder)) {
    if (!isFile) continue;
    const bytes = await Deno.readFile(`${one.folder}/${name}`);
    assert.ok(!new TextDecoder("latin1").decode(bytes).includes(KEY), name);
  }
  assert.ok(!log.join("\n").includes(KEY));
});
