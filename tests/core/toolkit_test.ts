import assert from "node:assert/strict";
import { DOCUMENT_BYTES_MAX, INSTRUCTION_BYTES_MAX } from "../../runtime/core/limits.ts";
import {
  CORE_TOOLS,
  definitionOf,
  nameBy,
  parseInput,
  TOOLKIT,
  type ToolOf,
} from "../../runtime/core/toolkit/mod.ts";
import { exactly, WORST } from "../support/texts.ts";

/** The agreement: each tool with its arguments, a question mark behind those that may be left out. */
const AGREED: Record<string, string[]> = {
  break_down_task: ["reasoning"],
  start_subtask: ["task_instruction", "agent_type"],
  request_context: ["context_needed"],
  request_tools: ["tools_needed"],
  end_task: ["status", "result"],
  flag_for_review: ["issue", "blocking?"],
  list_agents: [],
  list_documents: [],
  list_optional_tools: [],
  add_document: ["name", "content"],
  attach_document: ["name"],
  attach_tool: ["name"],
  create_agent: [
    "name",
    "description",
    "instruction",
    "tools?",
    "documents?",
    "web_search?",
    "model?",
  ],
  read_file: ["path", "from_line?", "to_line?"],
  write_file: ["path", "content"],
  edit_file: ["path", "old_text", "new_text"],
  list_files: ["path?"],
  search_files: ["pattern", "path?"],
};

const tool = (name: string) => TOOLKIT.get(name)!;

function complaint(name: string, input: unknown): string {
  const parsed = parseInput(tool(name), input);
  assert.ok(!parsed.ok, `${name} accepted ${JSON.stringify(input)}`);
  return parsed.error;
}

Deno.test("the core toolkit is the six tools of the agreement, in its order", () => {
  assert.deepEqual(CORE_TOOLS, [
    "break_down_task",
    "start_subtask",
    "request_context",
    "request_tools",
    "end_task",
    "flag_for_review",
  ]);
});

for (const [name, arguments_] of Object.entries(AGREED)) {
  Deno.test(`${name} takes exactly the arguments of the agreement`, () => {
    const { input_schema: schema } = definitionOf(tool(name)) as unknown as {
      input_schema: {
        type: string;
        properties?: object;
        required?: string[];
        additionalProperties: boolean;
      };
    };
    assert.equal(schema.type, "object");
    assert.equal(schema.additionalProperties, false);
    const required = schema.required ?? [];
    const found = Object.keys(schema.properties ?? {})
      .map((field) => required.includes(field) ? field : `${field}?`);
    assert.deepEqual(found, arguments_);
  });
}

Deno.test("end_task takes success and failure, and nothing else, for a status", () => {
  for (const status of ["success", "failure"]) {
    assert.ok(parseInput(tool("end_task"), { status, result: "" }).ok);
  }
  assert.match(complaint("end_task", { status: "done", result: "" }), /status: /);
});

Deno.test("a missing argument is named", () => {
  assert.match(complaint("start_subtask", { agent_type: "generalist" }), /task_instruction: /);
  assert.match(complaint("start_subtask", { task_instruction: "Count" }), /agent_type: /);
});

Deno.test("every wrong argument is named in one complaint", () => {
  const error = complaint("edit_file", { path: 1, old_text: "", new_text: null });
  for (const field of ["edit_file", "path: ", "old_text: ", "new_text: "]) {
    assert.ok(error.includes(field), error);
  }
});

Deno.test("an argument that the tool does not have is refused by its name", () => {
  assert.match(complaint("list_files", { folder: "x" }), /folder/);
});

Deno.test("arguments that are no object are refused", () => {
  for (const input of [null, undefined, "x", 1, [], [{}]]) complaint("list_agents", input);
});

Deno.test("an instruction is refused when it is blank or over the limit", () => {
  const agent_type = "generalist";
  assert.match(complaint("start_subtask", { task_instruction: " \n ", agent_type }), /task_instr/);
  const long = "x".repeat(INSTRUCTION_BYTES_MAX + 1);
  assert.match(complaint("start_subtask", { task_instruction: long, agent_type }), /task_instr/);
});

for (const [what, unit] of WORST) {
  Deno.test(`a document of ${what} is admitted up to its limit in bytes, and refused with one more`, () => {
    const content = (bytes: number) => ({ name: "notes", content: exactly(unit, bytes) });
    assert.ok(parseInput(tool("add_document"), content(DOCUMENT_BYTES_MAX)).ok);
    assert.match(
      complaint("add_document", content(DOCUMENT_BYTES_MAX + 1)),
      /at most 65536 bytes of JSON|<=65536 characters/,
    );
  });
}

Deno.test("a name is refused when it is not in snake_case", () => {
  for (const name of ["", "A", "1a", "a-b", "a b", "../a", "a".repeat(65)]) {
    assert.match(complaint("attach_document", { name }), /name: /);
  }
  assert.ok(parseInput(tool("attach_document"), { name: "house_rules" }).ok);
});

Deno.test("the elements of a list are named by their place", () => {
  const agent = { name: "a", description: "b", instruction: "c", tools: ["ok", "Not Ok"] };
  assert.match(complaint("create_agent", agent), /tools\.1: /);
});

Deno.test("only the tools that start tasks or ask a person let their caller be passivated", () => {
  const waiting = [...TOOLKIT.values()]
    .filter(({ performer }) => performer === "child" || performer === "review")
    .map(({ name }) => name);
  assert.deepEqual(waiting, [
    "break_down_task",
    "start_subtask",
    "request_context",
    "request_tools",
    "flag_for_review",
  ]);
});

Deno.test("every tool is described and fits its key", () => {
  for (const [key, { name, description }] of TOOLKIT) {
    assert.equal(name, key);
    assert.ok(description.length > 10, name);
  }
});

Deno.test("what a performer has to carry out is a closed set of names, and nobody else's tool is in it", () => {
  const one: ToolOf<"terminal"> = nameBy("terminal", TOOLKIT.get("use_terminal")!);
  assert.equal(one, "use_terminal");
  // @ts-expect-error: read by the type checker, a switch over the names has to know each and no other
  const other: ToolOf<"terminal"> = "read_file";
  assert.throws(
    () => nameBy("terminal", TOOLKIT.get(other)!),
    /read_file is not a tool of terminal/,
  );
});
