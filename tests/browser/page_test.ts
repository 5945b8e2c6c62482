/** The page, used by a person in a real browser. */
import assert from "node:assert/strict";
import { rows } from "../support/long.ts";
import { startTroupe } from "../support/troupe.ts";

for (
  const [tasks, ...said] of rows<[tasks: number, ...said: string[]]>([
    [17, "Work out the cost of catering for 24 people for two days", "1152", "documentation_agent"],
    [
      49,
      "Work out what a two-day workshop for 24 people costs",
      "The workshop costs 2420 euros",
      "task_breakdown",
    ],
  ])
) {
  Deno.test(`a person types a task that becomes ${tasks}, sees its steps arrive live, and its result`, async () => {
    await using troupe = await startTroupe();
    const person = decodeURIComponent(new URL("./person.ts", import.meta.url).pathname);
    const story = [...said, `${tasks} of ${tasks} tasks ended`];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", person, troupe.url, ...story],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
  });
}
