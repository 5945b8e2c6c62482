/** The page, used by a person in a real browser. */
import assert from "node:assert/strict";
import { startTroupe } from "../support/troupe.ts";

Deno.test("a person types a task, sees its steps arrive live, and its result", async () => {
  await using troupe = await startTroupe();
  const person = decodeURIComponent(new URL("./person.ts", import.meta.url).pathname);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", person, troupe.url],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
});
