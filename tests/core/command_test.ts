/** What anybody may want, as data: which commands are accepted, and how their mistakes are told. */
import assert from "node:assert/strict";
import { type By, byText, command } from "../../runtime/core/command.ts";
import { INSTRUCTION_BYTES_MAX, TIMEOUT_SECONDS_MAX } from "../../runtime/core/limits.ts";

const begin = { verb: "begin", instruction: "Compute 1 + 1" };

for (
  const [what, value, parsed] of [
    ["a task alone", { ...begin, instruction: " Compute 1 + 1\n" }, begin],
    ["a day to do it", { ...begin, timeout_seconds: TIMEOUT_SECONDS_MAX }],
    ["a decision without a comment", { verb: "decide", review_id: "r", decision: "approved" }, {
      verb: "decide",
      review_id: "r",
      decision: "approved",
      comment: "",
    }],
    ["a tool to be disabled", { verb: "disable_tool", name: "greet", disabled: true }],
    ["a tool to be deleted", { verb: "delete_tool", name: "greet" }],
  ] as [string, unknown, unknown?][]
) {
  Deno.test(`${what} is a command`, () => {
    assert.deepEqual(command.parse(value), parsed ?? value);
  });
}

for (
  const [what, value, field, code] of [
    ["an unknown verb", { verb: "wish" }, "verb", "invalid_union"],
    ["a task of blanks", { ...begin, instruction: " \n" }, "instruction", "too_small"],
    [
      "a task too long in bytes, though not in characters",
      {
        ...begin,
        instruction: "ü".repeat(INSTRUCTION_BYTES_MAX / 2 + 1),
      },
      "instruction",
      "too_big",
    ],
    ["a timeout beyond a day", { ...begin, timeout_seconds: 86_401 }, "timeout_seconds", "too_big"],
    ["a field of another verb", { ...begin, decision: "approved" }, "", "unrecognized_keys"],
  ] as [string, unknown, string, string][]
) {
  Deno.test(`${what} is refused as ${code}`, () => {
    const issues = command.safeParse(value).error!.issues;
    assert.deepEqual(issues.map((one) => [one.path.join("."), one.code]), [[field, code]]);
  });
}

Deno.test("who wanted it stands in the journal as one word", () => {
  const by: By[] = [
    { type: "person" },
    { type: "token", name: "ci" },
    { type: "task", task_id: "t1", tree_id: "t0" },
    { type: "schedule", id: "s1" },
    { type: "system", part: "watch" },
  ];
  assert.deepEqual(by.map(byText), [
    "person",
    "token:ci",
    "task:t1",
    "schedule:s1",
    "system:watch",
  ]);
});
