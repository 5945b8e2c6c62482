/**
 * Tools that agents write, as data: a module's source, the schema of its input, what it may do, and
 * tests. Nothing here runs one.
 */
import * as z from "zod";
import {
  HOST_CHARS_MAX,
  MANIFEST_ENTRIES_MAX,
  PATH_CHARS_MAX,
  TOOL_DESCRIPTION_CHARS_MAX,
  TOOL_SOURCE_BYTES_MAX,
  TOOL_TEST_NAME_CHARS_MAX,
  TOOL_TESTS_MAX,
} from "../limits.ts";
import type { Permissions, Tool, WrittenTool } from "./tool.ts";

/** One call of the tool with what it must give, or a part of the error that it must end with. */
export interface ToolTest {
  readonly name: string;
  readonly input: unknown;
  readonly expected?: unknown;
  readonly error?: string | undefined;
  /** Files that stand in the test's own workspace, by path. */
  readonly files?: Readonly<Record<string, string>> | undefined;
}

const bytes = (text: string) => new TextEncoder().encode(text).length;

const host = z.string().max(HOST_CHARS_MAX)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/i, "a host, with or without a port")
  .refine((host) => !isLoopback(host), "this machine itself cannot be granted");

const path = z.string().min(1).max(PATH_CHARS_MAX).refine(
  // deno-lint-ignore no-control-regex -- none may stand in a grant
  (path) => !/^\/|(^|\/)\.\.(\/|$)|[\\,\x00-\x1f]/.test(path),
  "a path inside the workspace, without .., backslashes or commas",
);

/** The arguments of `create_tool` beside its name. */
export const toolDraft = {
  description: z.string().trim().min(1).max(TOOL_DESCRIPTION_CHARS_MAX).describe(
    "what it does and when to use it",
  ),
  input_schema: z.record(z.string(), z.unknown())
    .describe("JSON Schema of an object: the input of the tool"),
  source: z.string().min(1)
    .refine(
      (source) => bytes(source) <= TOOL_SOURCE_BYTES_MAX,
      `at most ${TOOL_SOURCE_BYTES_MAX} bytes`,
    )
    .describe(
      'a TypeScript module: export default (input, context) => result. Of the module "troupe" it may import fail and the type Context, and nothing else',
    ),
  permissions: z.strictObject({
    net: z.array(host).max(MANIFEST_ENTRIES_MAX).optional().describe("hosts"),
    read: z.array(path).max(MANIFEST_ENTRIES_MAX).optional().describe(
      "paths in the workspace; . is all of it",
    ),
    write: z.array(path).max(MANIFEST_ENTRIES_MAX).optional().describe(
      "paths in the workspace; . is all of it",
    ),
  }).optional().describe("what it may do besides computing; a person approves it first"),
  tests: z.array(
    z.strictObject({
      name: z.string().min(1).max(TOOL_TEST_NAME_CHARS_MAX),
      input: z.unknown(),
      expected: z.unknown().optional().describe("the result"),
      error: z.string().optional().describe("a part of the error that it must end with"),
      files: z.record(path, z.string()).optional().describe("files in the test's workspace"),
    }).refine(
      (test) => ("expected" in test) !== ("error" in test),
      "a test has either expected or error",
    ),
  ).min(1).max(TOOL_TESTS_MAX),
};

function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || /^(127|0)(\.|$)/.test(name);
}

/** Whether a tool may do nothing but compute. */
export function isPure({ net = [], read = [], write = [] }: Permissions): boolean {
  return net.length + read.length + write.length === 0;
}

/** What a person reads before saying yes. */
export function describePermissions(permissions: Permissions): string {
  if (isPure(permissions)) return "nothing but compute";
  const { net = [], read = [], write = [] } = permissions;
  return [
    ...net.length > 0 ? [`use the network: ${net.join(", ")}`] : [],
    ...read.length > 0 ? [`read in the workspace: ${read.join(", ")}`] : [],
    ...write.length > 0 ? [`read and write in the workspace: ${write.join(", ")}`] : [],
  ].join("; ");
}

/**
 * The schema of a tool's input, ready to check one.
 * @throws {Error} that says why it is none
 */
export function inputOf(schema: Record<string, unknown>): Tool["input"] {
  if (schema.type !== "object") throw new Error('its "type" must be "object"');
  // What an agent wrote is read as a schema or thrown out; one of an object takes objects.
  return z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]) as Tool["input"];
}

/** A written tool as the toolkit knows tools. */
export function asTool(written: WrittenTool): Tool {
  return {
    name: written.name,
    description: written.description,
    input: inputOf(written.input_schema),
    input_schema: written.input_schema,
    effect: effectOf(written.permissions),
    // What only computes can be asked twice; what reaches out cannot.
    idempotent: isPure(written.permissions),
    performer: "written",
    core: false,
    written,
  };
}

/** The most that it can do to the world. */
export function effectOf({ net = [], read = [], write = [] }: Permissions): Tool["effect"] {
  if (net.length > 0) return "external";
  if (write.length > 0) return "write";
  return read.length > 0 ? "read" : "none";
}
