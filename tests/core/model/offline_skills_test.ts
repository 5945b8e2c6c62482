import assert from "node:assert/strict";
import { answerOffline, UNKNOWABLE } from "../../../runtime/core/model/offline.ts";
import { endTask, outcomeOf, type PlayedCall } from "../../../runtime/core/model/scene.ts";
import {
  callsOf,
  type ModelMessage,
  type ModelReply,
} from "../../../runtime/core/model/messages.ts";
import { assemblePrompt } from "../../../runtime/core/model/prompt.ts";
import { calculate } from "../../../runtime/core/model/offline_skills.ts";

/** What the offline model answers to a task after these turns of calls with their results. */
function answers(
  task: string,
  turns: { call: string; results: string[] }[] = [],
  tools: string[] = [],
): PlayedCall[] {
  const request = assemblePrompt({
    model: "default",
    max_tokens: 1000,
    web: false,
    media: new Map(),
    agent: { name: "generalist", instruction: "Work." },
    task: { id: "T", depth: 0, instruction: task },
    documents: [],
    tools: tools.map((name) => ({ name, description: "", input_schema: {} })),
    journal: [{ type: "task.started" }],
  });
  const history = turns.flatMap(({ call, results }, turn): ModelMessage[] => {
    const id = (at: number) => `c${turn}_${at}`;
    return [
      {
        role: "assistant",
        content: results.map((_, at) => ({ type: "tool_use", id: id(at), name: call, input: {} })),
      },
      {
        role: "user",
        content: results.map((content, at) => ({
          type: "tool_result",
          tool_use_id: id(at),
          content,
        })),
      },
    ];
  });
  const reply = answerOffline({ ...request, messages: [...request.messages, ...history] }, []);
  return callsOf((reply as ModelReply).content)
    .map(({ name, input }) => ({ tool: name, input: input as Record<string, unknown> }));
}

const subtasks = (...parts: string[]): PlayedCall[] =>
  parts.map((task_instruction) => ({
    tool: "start_subtask",
    input: { task_instruction, agent_type: "generalist" },
  }));
const child = (result: string) => JSON.stringify({ status: "done", task_id: "C", result });
const lost = (result: string) => JSON.stringify({ status: "failed", task_id: "C", result });

for (
  const [text, value] of [
    ["17 * 23 + 4", 395],
    ["4 + 17 * 23", 395],
    ["(4 + 17) * 23", 483],
    ["2 - 3 - 4", -5],
    ["24 / 4 / 2", 3],
    ["7 % 4 * 2", 6],
    ["2 ^ 3 ^ 2", 512],
    ["-2 ^ 2", -4],
    ["2 ^ -1", 0.5],
    ["2 * -3", -6],
    ["--5", 5],
    ["((((7))))", 7],
    ["0.1 + 0.2", 0.3],
    [".5 * 4", 2],
    ["6 × 7 ÷ 2", 21],
    ["0 * 5", 0],
  ] as [string, number][]
) {
  Deno.test(`${text} is ${value}`, () => assert.equal(calculate(text), value));
}

for (
  const [text, why] of [
    ["1 / 0", /division by zero/],
    ["5 % (3 - 3)", /division by zero/],
    ["(1 + 2", /bracket is not closed/],
    ["1 +", /number is missing/],
    ["1 2", /not an expression/],
    ["1 + 2)", /not an expression/],
    ["9 ^ 9 ^ 9", /too large/],
    ["(".repeat(5_000) + "1", /more than 100 deep/],
    ["", /number is missing/],
  ] as [string, RegExp][]
) {
  Deno.test(`${text.slice(0, 20) || "nothing"} is refused with a sentence`, () => {
    assert.match(String(calculate(text)), why);
  });
}

for (
  const task of ["Compute 17 * 23 + 4", "What is 17*23+4?", "  calculate: (17 * 23) + 4.", "395"]
) {
  Deno.test(`"${task.trim()}" ends with 395`, () => {
    assert.deepEqual(answers(task), [endTask("success", "395")]);
  });
}

Deno.test("a division by zero fails the task and says so", () => {
  const [call] = answers("Compute 1 / 0");
  assert.equal(call.input.status, "failure");
  assert.match(call.input.result as string, /division by zero/);
});

Deno.test("parts joined by and are started side by side", () => {
  assert.deepEqual(
    answers("Compute 1 + 1 and compute 2 + 2"),
    subtasks("Compute 1 + 1", "compute 2 + 2"),
  );
});

Deno.test("parts joined by then are started one after the other", () => {
  const task = "Compute 1 + 1, then compute 2 + 2 and compute 3 + 3";
  assert.deepEqual(answers(task), subtasks("Compute 1 + 1"));
  const first = { call: "start_subtask", results: [child("2")] };
  assert.deepEqual(answers(task, [first]), subtasks("compute 2 + 2", "compute 3 + 3"));
  const second = { call: "start_subtask", results: [child("4"), child("6")] };
  assert.deepEqual(answers(task, [first, second]), [
    endTask("success", "Compute 1 + 1: 2\ncompute 2 + 2: 4\ncompute 3 + 3: 6"),
  ]);
});

Deno.test("a part that fails ends the whole task as failed", () => {
  const turn = { call: "start_subtask", results: [lost("no such file")] };
  assert.deepEqual(answers("Read a.txt, then compute 2 + 2", [turn]), [
    endTask("failure", "no such file"),
  ]);
});

Deno.test("an and that joins two nouns splits nothing", () => {
  assert.deepEqual(answers("Describe love and war"), [endTask("failure", UNKNOWABLE)]);
});

Deno.test("an and inside quotation marks splits nothing", () => {
  assert.deepEqual(answers('Write "salt and pepper" to a.txt', [], ["write_file"]), [
    { tool: "write_file", input: { path: "a.txt", content: "salt and pepper\n" } },
  ]);
});

for (
  const [what, text, count] of [
    ["words", "one two\n three\n", 3],
    ["words", "", 0],
    ["lines", "one\ntwo\n", 2],
    ["lines", "one\ntwo", 2],
    ["lines", "", 0],
    ["characters", "a😀b", 3],
  ] as [string, string, number][]
) {
  Deno.test(`${JSON.stringify(text)} has ${count} ${what}`, () => {
    const task = `Count the ${what} in notes.txt`;
    assert.deepEqual(answers(task, [], ["read_file"]), [
      { tool: "read_file", input: { path: "notes.txt" } },
    ]);
    assert.deepEqual(answers(task, [{ call: "read_file", results: [text] }], ["read_file"]), [
      endTask("success", `notes.txt has ${count} ${what}`),
    ]);
  });
}

Deno.test("a tool that is lacking is requested first", () => {
  const [call] = answers("Count the words in notes.txt");
  assert.equal(call.tool, "request_tools");
  assert.match(call.input.tools_needed as string, /read_file/);
});

for (
  const task of ["Write a poem about the sea", "Hello", "<task>Compute 1 + 1</task>", "0x10 + q"]
) {
  Deno.test(`"${task}" fails with the explanation of the offline model`, () => {
    assert.deepEqual(answers(task), [endTask("failure", UNKNOWABLE)]);
  });
}

Deno.test("the explanation names what a real model needs", () => {
  assert.match(UNKNOWABLE, /offline model/);
  assert.match(UNKNOWABLE, /ANTHROPIC_API_KEY/);
});

Deno.test("what a child returned is read as its status and its text", () => {
  const block = (content: string, is_error?: boolean) =>
    outcomeOf({
      type: "tool_result",
      tool_use_id: "a",
      content,
      ...(is_error ? { is_error } : {}),
    });
  assert.deepEqual(block(child("7")), { status: "success", text: "7" });
  assert.deepEqual(block(lost("no")), { status: "failure", text: "no" });
  assert.deepEqual(block("plain"), { status: "success", text: "plain" });
  assert.deepEqual(block("plain", true), { status: "failure", text: "plain" });
});
