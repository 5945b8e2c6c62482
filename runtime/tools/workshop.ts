/** Tools that agents write: checked, tested and registered; then called, each time in a cell of its own. */
import { addWrittenTool, findWrittenTool, newestTool } from "../../db/tools.ts";
import { attachTool } from "../../db/definitions.ts";
import { TOOLKIT } from "../core/toolkit/mod.ts";
import {
  describePermissions,
  inputOf,
  isPure,
  type Permissions,
  type ToolTest,
  type WrittenTool,
} from "../core/toolkit/written_tool.ts";
import type { Parts } from "../kernel.ts";
import { Refusal } from "../core/refusal.ts";
import type { Grants, ToolOutcome } from "../confined/tool_cells.ts";
import { approval } from "../outbox/approval.ts";
import { beneficiary } from "./context.ts";
import { answer, type Outcome, type ToolCall } from "../outbox/execute.ts";
import { TOO_LARGE, withinQuota } from "../confined/quota.ts";
import { fitted } from "./spill.ts";

/**
 * `create_tool`: a new tool, or a new version of one.
 * @throws {Refusal} that says what is wrong with it
 */
export async function createTool(
  parts: Parts,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Outcome> {
  refuseUncontained(parts);
  const { store, tools, clock } = parts;
  const { tests, permissions = {}, ...draft } = call.input as unknown as Draft;
  const newest = await newestTool(store.read, draft.name);
  if (TOOLKIT.has(draft.name) || newest && newest.origin !== "agent") {
    throw new Refusal("name", `${draft.name} was not written by an agent: choose another name`);
  }
  checkSchema(draft.input_schema);
  const task_id = await beneficiary(parts, call);
  const known = await findWrittenTool(store.read, draft.name);
  if (known && isSame(known, { ...draft, permissions })) {
    return {
      statements: [attachTool(task_id, known.name, known.version, clock.now())],
      ...answer(call.call_id, {
        content: `${known.name}, version ${known.version}, is this very tool already. ` +
          "It is callable from the next turn.",
      }),
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
    const held = await approval(parts, call, async () => {
      await check();
      return {
        issue: `May the tool ${tool.name}, version ${version}, be used? It may ` +
          `${describePermissions(permissions)}.`,
        detail: await describe(parts, tool, tests, signal),
      };
    });
    if (held) return held;
  }
  const report = await runTests(parts, tool, tests, signal);
  if (!report.passed) throw new Refusal("tests", report.text);
  const now = clock.now();
  return {
    statements: [
      addWrittenTool(tool, tests, call.tree_id, now),
      attachTool(task_id, tool.name, version, now),
    ],
    ...answer(call.call_id, {
      content: `Created ${tool.name}, version ${version}. ${report.text}\n` +
        "It is callable from the next turn.",
    }),
  };
}

/** A call of a tool that an agent wrote. */
export async function callWritten(
  parts: Parts,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Outcome> {
  refuseUncontained(parts);
  const written = call.tool.written!;
  const workspace = await parts.files.workspace(call.tree_id);
  const outcome = await run(parts, written, call.input, workspace, signal);
  const log = outcome.log === "" ? {} : { log: outcome.log };
  if (!outcome.ok) {
    return answer(call.call_id, { content: outcome.error, is_error: true, ...log });
  }
  const text = typeof outcome.value === "string"
    ? outcome.value
    : JSON.stringify(outcome.value, null, 2);
  return answer(call.call_id, { content: await fitted(parts, call, text, signal), ...log });
}

interface Draft extends Omit<WrittenTool, "version" | "permissions"> {
  readonly permissions?: Permissions;
  readonly tests: readonly ToolTest[];
}

function isSame(known: WrittenTool, draft: Omit<WrittenTool, "version">): boolean {
  const told = ({ description, input_schema, source, permissions }: Omit<WrittenTool, "version">) =>
    JSON.stringify(sorted({ description, input_schema, source, permissions }));
  return told(known) === told(draft);
}

/** Under `CONTAINMENT=strict` a machine without namespaces runs no code of agents. */
function refuseUncontained({ containment, tools }: Parts): void {
  if (containment !== "strict" || tools.config.layers.bwrap) return;
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
      `input_schema is no usable JSON Schema: ${(error as Error).message}`,
    );
  }
}

/** What a person sees: everything that would run, with exactly what it may do. */
async function describe(
  parts: Parts,
  tool: WrittenTool,
  tests: readonly ToolTest[],
  signal: AbortSignal,
): Promise<string> {
  // Nothing uses the network before a person has allowed it.
  const report = tool.permissions.net?.length
    ? "The tests may use the network: they run once you approve."
    : (await runTests(parts, tool, tests, signal)).text;
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
    "Tests:",
    JSON.stringify(tests, null, 2),
    report,
  ].join("\n");
}

/** Runs every test in a cell and a workspace of its own, with exactly the tool's permissions. */
async function runTests(
  parts: Parts,
  tool: WrittenTool,
  tests: readonly ToolTest[],
  signal: AbortSignal,
): Promise<{ passed: boolean; text: string }> {
  const lines: string[] = [];
  const input = inputOf(tool.input_schema);
  for (const test of tests) {
    const fits = input.safeParse(test.input);
    const outcome = fits.success
      ? await parts.tools.inScratch(async (workspace) => {
        for (const [path, content] of Object.entries(test.files ?? {})) {
          const whole = `${workspace}/${path}`;
          await Deno.mkdir(whole.slice(0, whole.lastIndexOf("/")), { recursive: true });
          await Deno.writeTextFile(whole, content);
        }
        return await run(parts, tool, fits.data, workspace, signal);
      })
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

async function run(
  { tools, clock }: Parts,
  tool: WrittenTool,
  input: unknown,
  workspace: string,
  signal: AbortSignal,
): Promise<ToolOutcome> {
  const { net = [], read = [], write = [] } = tool.permissions;
  const inside = async (paths: readonly string[], make: boolean) => {
    const whole: string[] = [];
    for (const path of paths) whole.push(await within(workspace, path, make));
    return whole;
  };
  const grants: Grants = {
    net,
    read: await inside(read, false),
    write: await inside(write, true),
  };
  const call = {
    source: tool.source,
    input,
    grants,
    workspace: read.length + write.length > 0 ? workspace : null,
  };
  if (write.length === 0) return await tools.run(call, signal);
  const { result, full } = await withinQuota(
    clock,
    workspace,
    signal,
    (signal) => tools.run(call, signal),
  );
  return full ? { ok: false, error: `The tool was ended: ${TOO_LARGE}`, log: result.log } : result;
}

/** A granted path as it is on disk; a link that leads out of the workspace is no path in it. */
async function within(workspace: string, path: string, make: boolean): Promise<string> {
  const whole = path === "." ? workspace : `${workspace}/${path}`;
  const real = await Deno.realPath(whole).catch(async (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    if (make) await Deno.mkdir(whole, { recursive: true });
    return whole;
  });
  if (real === workspace || real.startsWith(`${workspace}/`)) return real;
  throw new Refusal("permissions", `${path} leads out of the workspace`);
}
