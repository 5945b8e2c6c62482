/** A person's form means the same as an API's body, and its mistakes are told in their words. */
import assert from "node:assert/strict";
import { readAs } from "../../routes/http/body.ts";
import { typed } from "../../routes/http/form.ts";
import { mistakeIn } from "../../routes/pages/home/mistake.ts";
import { begin, disable_tool } from "../../runtime/core/command.ts";
import { INSTRUCTION_BYTES_MAX } from "../../runtime/core/limits.ts";

Deno.test("a form's texts become the types of the schema's fields", () => {
  const form = { instruction: "12", priority: "3", timeout_seconds: " 60 " };
  assert.deepEqual(typed(begin, form), { instruction: "12", priority: 3, timeout_seconds: 60 });
  assert.deepEqual(typed(disable_tool, { name: "true", disabled: "true" }), {
    name: "true",
    disabled: true,
  });
});

Deno.test("what does not fit a field, or has none, stays as it is and is refused by the schema", () => {
  const form = { timeout_seconds: "", disabled: "true", constructor: "x" };
  assert.deepEqual(typed(begin, form), form);
  assert.deepEqual(typed(disable_tool, { disabled: "perhaps" }), { disabled: "perhaps" });
});

const EMPTY = "Write what should be done: the task is empty.";
const TIMEOUT = "The timeout must be a whole number of seconds from 1 to 86400.";

for (
  const [what, form, status, text] of [
    ["no task", {}, 400, EMPTY],
    ["a task of blanks", { instruction: " \n " }, 400, EMPTY],
    ["a task that is too long", { instruction: "ü".repeat(INSTRUCTION_BYTES_MAX) }, 413, /204800/],
    ["a task with a NUL", { instruction: "a\0b" }, 400, "The task must not have a NUL character."],
    ["a timeout of no seconds", { instruction: "x", timeout_seconds: "0" }, 400, TIMEOUT],
    ["half a second", { instruction: "x", timeout_seconds: "0.5" }, 400, TIMEOUT],
    ["a timeout that is left empty", { instruction: "x", timeout_seconds: "" }, 400, TIMEOUT],
    ["two mistakes", { instruction: "", timeout_seconds: "many" }, 400, EMPTY],
    ["an unknown field", { instruction: "x", colour: "red" }, 400, /colour/],
  ] as [string, Record<string, string>, number, string | RegExp][]
) {
  Deno.test(`a form with ${what} is answered with ${status} and a sentence`, () => {
    const read = readAs(begin, { ...typed(begin, form), verb: "begin" });
    assert.ok(!read.success);
    const mistake = mistakeIn(form, read.issues);
    assert.equal(mistake.status, status);
    if (typeof text === "string") assert.equal(mistake.text, text);
    else assert.match(mistake.text, text);
    assert.equal(mistake.instruction, (form.instruction ?? "").trim());
  });
}
