/**
 * The one definition of each built-in tool: its name, what a model reads about it, its arguments,
 * what it does to the world and who performs it. Agents, the tools table and the docs all read this.
 */
import * as z from "zod";
import {
  COMMAND_CHARS_MAX,
  DOCUMENT_BYTES_MAX,
  FILE_BYTES_MAX,
  GRANTED_MAX,
  INSTRUCTION_BYTES_MAX,
  NAME_CHARS_MAX,
  PATH_CHARS_MAX,
  PATTERN_CHARS_MAX,
  PURPOSE_CHARS_MAX,
  TERMINAL_SECONDS_MAX,
} from "../limits.ts";
import type { OfferedTool } from "../model/messages.ts";
import { fits } from "../text.ts";
import type { PerformedBy, Tool } from "./tool.ts";
import { toolDraft } from "./written_tool.ts";

const name = z.string().regex(
  new RegExp(`^[a-z][a-z0-9_]{0,${NAME_CHARS_MAX - 1}}$`),
  `a name in snake_case, at most ${NAME_CHARS_MAX} long`,
);
const path = z.string().min(1).max(PATH_CHARS_MAX).describe(
  "relative to the workspace, for example a/b.txt",
);
const words = z.string().trim().min(1).max(INSTRUCTION_BYTES_MAX)
  .refine(...upTo(INSTRUCTION_BYTES_MAX));
const article = z.string().min(1).max(DOCUMENT_BYTES_MAX).refine(...upTo(DOCUMENT_BYTES_MAX));

/** What the schema that a model reads cannot say: it counts characters. */
function upTo(bytes: number): [fit: (text: string) => boolean, otherwise: string] {
  return [(text) => fits(text, bytes), `at most ${bytes} bytes of JSON`];
}

function tool<const Name extends string, By extends PerformedBy>(
  name: Name,
  performer: By,
  effect: Tool["effect"],
  idempotent: boolean,
  description: string,
  shape: Record<string, z.ZodType>,
  core = false,
): Tool & { readonly name: Name; readonly performer: By } {
  return { name, performer, effect, idempotent, description, input: z.strictObject(shape), core };
}

const READ_FILE =
  "Read a text file of the workspace, or look at a picture (PNG, JPEG, GIF, WebP) or a PDF in it.";

/** Every built-in tool; the six core tools stand first. */
const TOOLS = [
  tool(
    "break_down_task",
    "child",
    "none",
    true,
    "Hand your whole task to a task_breakdown agent that splits it into subtasks and has them done. Its summary is the result.",
    { reasoning: words.describe("why the task should be broken down") },
    true,
  ),
  tool(
    "start_subtask",
    "child",
    "none",
    true,
    "Start another agent on a task of its own and wait for it. It sees nothing but task_instruction. Several calls in one turn run side by side. The result is the subtask's status and summary.",
    {
      task_instruction: words.describe("the whole task, complete in itself"),
      agent_type: name.describe("the name of the agent that does it, for example generalist"),
    },
    true,
  ),
  tool(
    "request_context",
    "child",
    "none",
    true,
    "Ask for knowledge that you lack. The documents that are found or written are in your prompt from your next turn.",
    { context_needed: words.describe("what you need to know, and what for") },
    true,
  ),
  tool(
    "request_tools",
    "child",
    "none",
    true,
    "Ask for a tool that you lack. The tools that are found are callable from your next turn.",
    { tools_needed: words.describe("what you need to do, and why your tools do not suffice") },
    true,
  ),
  tool(
    "end_task",
    "agent",
    "none",
    true,
    "End your task. Call it alone in its turn, once everything is done or has turned out to be impossible.",
    {
      status: z.enum(["success", "failure"]),
      result: z.string().describe("the result itself, or what stood in the way"),
    },
    true,
  ),
  tool(
    "flag_for_review",
    "review",
    "write",
    true,
    "Put something before a person. With blocking, your task waits for the decision, which is the result.",
    {
      issue: words.describe("what the person should know or decide"),
      blocking: z.boolean().optional().describe("wait for the decision; false by default"),
    },
    true,
  ),
  tool("list_agents", "store", "read", true, "List the agents that can be started.", {}),
  tool("list_documents", "store", "read", true, "List the documents that can be attached.", {}),
  tool(
    "list_optional_tools",
    "store",
    "read",
    true,
    "List the tools that can be attached.",
    {},
  ),
  tool(
    "add_document",
    "store",
    "write",
    true,
    "Write a document, or a new version of one, for every later task.",
    { name, content: article.describe("Markdown") },
  ),
  tool(
    "attach_document",
    "store",
    "write",
    true,
    "Put a document into the prompt of the task that asked for context, or else into your own, from the next turn.",
    { name },
  ),
  tool(
    "attach_tool",
    "store",
    "write",
    true,
    "Give a tool to the task that asked for tools, or else to yourself, from the next turn.",
    { name },
  ),
  tool(
    "create_agent",
    "store",
    "write",
    true,
    "Define a new kind of agent, or a new version of one that an agent made.",
    {
      name,
      description: z.string().min(1).max(PURPOSE_CHARS_MAX).describe(
        "one sentence: what it is for",
      ),
      instruction: words.describe("its instruction, addressed to it"),
      tools: z.array(name).max(GRANTED_MAX).optional(),
      documents: z.array(name).max(GRANTED_MAX).optional(),
      web_search: z.boolean().optional(),
      model: z.enum(["fast", "default", "strong"]).optional(),
    },
  ),
  tool(
    "resolve_task",
    "store",
    "write",
    true,
    "Decide about the stuck task that you were started for: retry its last turn, hint (say something to it), cancel it, or flag it for a person.",
    {
      action: z.enum(["retry", "hint", "cancel", "flag"]),
      comment: words.describe("the reason; with hint, the words that the task receives"),
    },
  ),
  tool(
    "create_tool",
    "workshop",
    "write",
    true,
    "Write a tool: a TypeScript module with tests. It is checked, tested and then callable from your next turn, or by the task that asked for tools. One with permissions waits for a person first.",
    { name, ...toolDraft },
  ),
  tool(
    "use_terminal",
    "terminal",
    "write",
    false,
    "Run a shell command in the workspace. It sees the workspace and the system's programs, and no network unless a person allows it.",
    {
      command: z.string().min(1).max(COMMAND_CHARS_MAX),
      timeout_seconds: z.int().min(1).max(TERMINAL_SECONDS_MAX).optional(),
      network: z.boolean().optional().describe("ask a person for the network; false by default"),
    },
  ),
  tool("read_file", "files", "read", true, READ_FILE, {
    path,
    from_line: z.int().min(1).optional().describe("first line, from 1"),
    to_line: z.int().min(1).optional().describe("last line, included"),
  }),
  tool(
    "write_file",
    "files",
    "write",
    true,
    "Write a text file in the workspace, folders included; replaces one that exists.",
    { path, content: z.string().max(FILE_BYTES_MAX) },
  ),
  tool(
    "edit_file",
    "files",
    "write",
    false,
    "Replace a passage of a text file in the workspace; old_text must stand there exactly once.",
    { path, old_text: z.string().min(1), new_text: z.string() },
  ),
  tool("list_files", "files", "read", true, "List the files of the workspace or of a folder.", {
    path: path.optional(),
  }),
  tool(
    "search_files",
    "files",
    "read",
    true,
    "Find the lines that match a regular expression in the workspace's text files.",
    { pattern: z.string().min(1).max(PATTERN_CHARS_MAX), path: path.optional() },
  ),
];

/** Every built-in tool by name, in that order. */
export const TOOLKIT: ReadonlyMap<string, Tool> = new Map(TOOLS.map((tool) => [tool.name, tool]));

/** Names of the tools that one performer carries out: it does not compile before it knows each of them. */
export type ToolOf<By extends PerformedBy> = Extract<
  typeof TOOLS[number],
  { readonly performer: By }
>["name"];

/**
 * Which of its performer's tools it is.
 * @throws {Error} when it is another performer's
 */
export function nameBy<By extends PerformedBy>(by: By, { name, performer }: Tool): ToolOf<By> {
  if (performer !== by) throw new Error(`${name} is not a tool of ${by}`);
  // What an agent wrote has a performer of its own: all others are named above.
  return name as ToolOf<By>;
}

/** Names of the tools that every agent has, in the order in which they stand in the prompt. */
export const CORE_TOOLS: readonly string[] = [...TOOLKIT.values()].filter((tool) => tool.core)
  .map((tool) => tool.name);

/** Tools that an agent gets by its definition alone, never on request. */
const NEVER_ATTACHED: readonly string[] = ["resolve_task"];

/** Whether a built-in tool may be given to a task that asks for it. */
export function mayAttach(name: string): boolean {
  return TOOLKIT.has(name) && !CORE_TOOLS.includes(name) && !NEVER_ATTACHED.includes(name);
}

/** What a model is shown of a tool. */
export function definitionOf(tool: Tool): OfferedTool {
  if (tool.input_schema) {
    return { name: tool.name, description: tool.description, input_schema: tool.input_schema };
  }
  let definition = builtIn.get(tool);
  if (!definition) {
    const { $schema: _, ...schema }: Record<string, unknown> = z.toJSONSchema(tool.input);
    definition = { name: tool.name, description: tool.description, input_schema: schema };
    builtIn.set(tool, definition);
  }
  return definition;
}

/** Made once: each turn of each task is told all of its tools. */
const builtIn = new WeakMap<Tool, OfferedTool>();

/** The arguments, or one sentence that names what is wrong with them. */
export function parseInput(
  tool: Tool,
  input: unknown,
): { ok: true; input: Record<string, unknown> } | { ok: false; error: string } {
  const parsed = tool.input.safeParse(input);
  if (parsed.success) return { ok: true, input: parsed.data };
  return { ok: false, error: `Invalid arguments for ${tool.name}: ${issuesOf(parsed.error)}` };
}

/** Zod's findings in one line: `field: what is wrong; other: …`. */
export function issuesOf(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => path.length > 0 ? `${path.join(".")}: ${message}` : message)
    .join("; ");
}
