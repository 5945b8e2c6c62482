/** Tools that agents write: checked, tested and registered; then called, each time in a cell of its own. */
import type { Db } from "../../db/schema.ts";
import { findWrittenTool, newestTool } from "../../db/tools.ts";
import { answer, type Outcome, type ToolCall, type ToolPerformer } from "../commands/outcome.ts";
import type { Containment } from "../core/config.ts";
import { Refusal } from "../core/refusal.ts";
import { nameBy, TOOLKIT } from "../core/toolkit/mod.ts";
import {
  describePermissions,
  inputOf,
  isPure,
  type ToolTest,
} from "../core/toolkit/written_tool.ts";
import type { Permissions, WrittenTool } from "../core/toolkit/tool.ts";
import type { Files, ToolOutcome, ToolRunner } from "../ports.ts";
import { approval } from "./approval.ts";
import { fitted } from "./spill.ts";
import { reasonOf } from "../core/reason.ts";

interface WorkshopPorts {
  readonly read: Db;
  readonly tools: ToolRunner;
  readonly files: Files;
  readonly containment: Containment;
}

/** Performs `create_tool`. */
export function workshop(ports: WorkshopPorts): ToolPerformer {
  return {
    perform(call, signal) {
      switch (nameBy("workshop", call.tool)) {
        case "create_tool":
          return createTool(ports, call, signal);
      }
    },
  };
}

/** Performs calls of tools that agents wrote. */
export function written(ports: WorkshopPorts): ToolPerformer {
  return { perform: (call, signal) => callWritten(ports, call, signal) };
}

/**
 * `create_tool`: a new tool, or a new version of one.
 * @throws {Refusal} that says what is wrong with it
 */
async function createTool(
  ports: WorkshopPorts,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Outcome> {
  refuseUncontained(ports);
  const { read, tools } = ports;
  // As the toolkit's schema has checked it.
  const { tests, permissions = {}, ...draft } = call.input as unknown as ToolDraft;
  const newest = await newestTool(read, draft.name);
  if (TOOLKIT.has(draft.name) || newest && newest.origin !== "agent") {
    throw new Refusal("name", `${draft.name} was not written by an agent: choose another name`);
  }
  if (newest?.disabled) {
    throw new Refusal("name", `A person disabled ${draft.name}: choose another name`);
  }
  checkSchema(draft.input_schema);
  const known = await findWrittenTool(read, draft.name);
  if (known && isSame(known, { ...draft, permissions })) {
    const said = `${known.name}, version ${known.version}, is this very tool already. ` +
      "It is callable from the next turn.";
    return {
      type: "replied",
      reply: answer(call.call_id, { content: said }),
      command: { verb: "attach_tool", name: known.name },
    };
  }
  const version = (newest?.version ?? 0) + 1;
  const tool: WrittenTool = { ...draft, permissions, version };
  const check = async () => {
    const wrong = await tools.check(tool.source, signal);
    if (wrong) throw new Refusal("source", wrong);
  };

  // What other trees use may not be changed behind their backs.
  const foreign = newest !== undefined && newest.tree_id !== call.tree_id;
  if (isPure(permissions) && !foreign) await check();
  else {
    const held = await approval(read, call, async () => {
      await check();
      return {
        issue: `May the tool ${tool.name}, version ${version}, be used? It may ` +
          `${describePermissions(permissions)}.`,
        detail: describe(tool, tests),
      };
    });
    if (held) return held;
  }
  const report = await runTests(ports, tool, tests, signal);
  if (!report.passed) throw new Refusal("tests", report.text);
  const said = `Created ${tool.name}, version ${version}. ${report.text}\n` +
    "It is callable from the next turn.";
  return {
    type: "replied",
    reply: answer(call.call_id, { content: said }),
    command: { verb: "add_tool", tool, tests },
  };
}

/** A call of a tool that an agent wrote. */
async function callWritten(
  ports: WorkshopPorts,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Outcome> {
  refuseUncontained(ports);
  const { call_id, tool: { written } } = call;
  if (!written) throw new Error(`${call.tool.name} was not written by an agent`);
  const outcome = await ports.tools.run(written, call.input, call.tree_id, signal);
  const log = outcome.log === "" ? {} : { log: outcome.log };
  if (!outcome.ok) {
    const reply = answer(call_id, { content: outcome.error, is_error: true, ...log });
    return { type: "replied", reply };
  }
  const text = typeof outcome.value === "string"
    ? outcome.value
    : JSON.stringify(outcome.value, null, 2);
  const content = await fitted(ports.files, call, text, signal);
  return { type: "replied", reply: answer(call_id, { content, ...log }) };
}

/** The arguments of `create_tool` beside its name, as its schema has checked them. */
interface ToolDraft extends Omit<WrittenTool, "version" | "permissions"> {
  readonly permissions?: Permissions;
  readonly tests: readonly ToolTest[];
}

function isSame(known: WrittenTool, draft: Omit<WrittenTool, "version">): boolean {
  const told = ({ description, input_schema, source, permissions }: Omit<WrittenTool, "version">) =>
    JSON.stringify(sorted({ description, input_schema, source, permissions }));
  return told(known) === told(draft);
}

/** Under `CONTAINMENT=strict` a machine without namespaces runs no code of agents. */
function refuseUncontained({ containment, tools }: WorkshopPorts): void {
  if (containment !== "strict" || tools.contained) return;
  throw new Refusal(
    "containment",
    "This machine has no bwrap, and CONTAINMENT is strict: tools that agents write are not run here",
  );
}

function checkSchema(schema: Record<string, unknown>): void {
  try {
    inputOf(schema);
  } catch (error) {
    throw new Refusal(
      "input_schema",
      `input_schema is no usable JSON Schema: ${reasonOf(error)}`,
    );
  }
}

/** What a person sees: everything that would run, with exactly what it may do. Nothing of it ran before. */
function describe(tool: WrittenTool, tests: readonly ToolTest[]): string {
  return [
    tool.description,
    `It may ${describePermissions(tool.permissions)}.`,
    "",
    "Input:",
    JSON.stringify(tool.input_schema, null, 2),
    "",
    "Source:",
    tool.source,
    "",
    "Tests, which run once you approve:",
    JSON.stringify(tests, null, 2),
  ].join("\n");
}

/** Runs every test in a cell and a workspace of its own, with exactly the tool's permissions. */
async function runTests(
  { tools }: WorkshopPorts,
  tool: WrittenTool,
  tests: readonly ToolTest[],
  signal: AbortSignal,
): Promise<{ passed: boolean; text: string }> {
  const lines: string[] = [];
  const input = inputOf(tool.input_schema);
  for (const test of tests) {
    const fits = input.safeParse(test.input);
    const outcome = fits.success
      ? await tools.try(tool, fits.data, test.files ?? {}, signal)
      : { ok: false as const, error: "its input does not fit input_schema", log: "" };
    const wrong = compare(test, outcome);
    lines.push(wrong ? `failed: ${test.name}: ${wrong}` : `passed: ${test.name}`);
  }
  const failed = lines.filter((line) => line.startsWith("failed")).length;
  const head = `${tests.length - failed} of ${tests.length} tests passed.`;
  return { passed: failed === 0, text: [head, ...lines].join("\n") };
}

/** What a test's outcome has wrong, or null. */
function compare(test: ToolTest, outcome: ToolOutcome): string | null {
  if (test.error !== undefined) {
    if (outcome.ok) return `expected an error, got ${JSON.stringify(outcome.value)}`;
    if (outcome.error.includes(test.error)) return null;
    return `expected an error with ${JSON.stringify(test.error)}, got ${outcome.error}`;
  }
  if (!outcome.ok) return outcome.error;
  const [got, expected] = [sorted(outcome.value), sorted(test.expected)].map((value) =>
    JSON.stringify(value)
  );
  return got === expected ? null : `expected ${expected}, got ${got}`;
}

/** The same value with the fields of its objects in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map((
      [key, one],
    ) => [key, sorted(one)]),
  );
}
