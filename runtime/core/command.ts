/**
 * What anybody may want, as data, and who wants it. Forms, the API and agents' own tools all build the
 * same command from the same schema; `commands/` turns it into a unit of work.
 */
import * as z from "zod";
import type { ToolTest } from "./toolkit/written_tool.ts";
import type { WrittenTool } from "./toolkit/tool.ts";
import {
  BUDGET_DEPTH_MAX,
  BUDGET_TASKS_MAX,
  BUDGET_TURNS_MAX,
  COMMENT_CHARS_MAX,
  ID_CHARS_MAX,
  INSTRUCTION_BYTES_MAX,
  NAME_CHARS_MAX,
  PRIORITY_MAX,
  TIMEOUT_SECONDS_MAX,
} from "./limits.ts";
import { fits } from "./text.ts";

const name = z.string().min(1).max(NAME_CHARS_MAX);
const id = z.string().min(1).max(ID_CHARS_MAX);

/** Bounded in bytes of JSON, as everything that it becomes a part of; the issue is that of a text that is too long. */
const instruction = z.string().trim().min(1, "must not be empty").check(({ value, issues }) => {
  if (fits(value, INSTRUCTION_BYTES_MAX)) return;
  issues.push({
    code: "too_big",
    origin: "string",
    maximum: INSTRUCTION_BYTES_MAX,
    inclusive: true,
    input: value,
    message: `must not be longer than ${INSTRUCTION_BYTES_MAX} bytes of JSON`,
  });
});

/** Begins a tree. */
export const begin = z.strictObject({
  verb: z.literal("begin"),
  instruction,
  mode: z.enum(["automatic"], "must be automatic: stepping by hand is not built yet").optional(),
  priority: z.int().min(0).max(PRIORITY_MAX).optional(),
  agent: name.optional(),
  after_task: z.enum(["all", "root", "none"]).optional(),
  timeout_seconds: z.int().min(1).max(TIMEOUT_SECONDS_MAX).optional(),
  budget: z.strictObject({
    depth: z.int().min(0).max(BUDGET_DEPTH_MAX).optional(),
    tasks: z.int().min(1).max(BUDGET_TASKS_MAX).optional(),
    turns: z.int().min(1).max(BUDGET_TURNS_MAX).optional(),
    tokens: z.int().min(1).optional(),
    cost_usd: z.number().positive().optional(),
    wall_seconds: z.int().min(1).optional(),
  }).optional(),
});

/** Decides about a review. */
export const decide = z.strictObject({
  verb: z.literal("decide"),
  review_id: id,
  decision: z.enum(["approved", "rejected"]),
  comment: z.string().max(COMMENT_CHARS_MAX).default(""),
});

/** Disables or enables every version of a tool that an agent wrote. */
export const disable_tool = z.strictObject({
  verb: z.literal("disable_tool"),
  name,
  disabled: z.boolean(),
});

/** Deletes every version of a tool that an agent wrote. */
export const delete_tool = z.strictObject({ verb: z.literal("delete_tool"), name });

/** What the system wants of a tree whose model is of no use. */
export const stop_tree = z.strictObject({
  verb: z.literal("stop_tree"),
  tree_id: z.string(),
  reason: z.string(),
});

// What tasks want. Their arguments were checked by the schemas of the tools that they come from.

const purpose = z.enum([
  "subtask",
  "breakdown",
  "context",
  "tools",
  "evaluation",
  "documentation",
  "summary",
  "supervision",
]);

export const start_child = z.strictObject({
  verb: z.literal("start_child"),
  parent_id: z.string(),
  agent: z.string(),
  instruction: z.string(),
  purpose,
  /** The parent's tool call that waits for the child; null when none does. */
  call_id: z.string().nullable(),
  /** The parent's effect that asks for it, by which the child is known; null when none does. */
  effect_key: z.string().nullable(),
});

/** A question to a person. */
export const ask = z.strictObject({
  verb: z.literal("ask"),
  issue: z.string(),
  detail: z.string().optional(),
  blocking: z.boolean(),
  call_id: z.string(),
  effect_key: z.string(),
  /** Whether the effect waits for the decision before it is performed. */
  holds_effect: z.boolean(),
});

export const resolve = z.strictObject({
  verb: z.literal("resolve"),
  action: z.enum(["retry", "hint", "cancel", "flag"]),
  comment: z.string(),
});

export const add_document = z.strictObject({
  verb: z.literal("add_document"),
  name,
  content: z.string(),
});

export const attach_document = z.strictObject({ verb: z.literal("attach_document"), name });

export const attach_tool = z.strictObject({ verb: z.literal("attach_tool"), name });

export const create_agent = z.strictObject({
  verb: z.literal("create_agent"),
  name,
  description: z.string(),
  instruction: z.string(),
  tools: z.array(name).optional(),
  documents: z.array(name).optional(),
  web_search: z.boolean().optional(),
  model: z.enum(["fast", "default", "strong"]).optional(),
});

export const add_tool = z.strictObject({
  verb: z.literal("add_tool"),
  tool: z.custom<WrittenTool>(),
  tests: z.custom<readonly ToolTest[]>(),
});

export const keep_media = z.strictObject({
  verb: z.literal("keep_media"),
  hash: z.string(),
  media_type: z.string(),
  base64: z.string(),
});

export const command = z.discriminatedUnion("verb", [
  begin,
  decide,
  disable_tool,
  delete_tool,
  stop_tree,
  start_child,
  ask,
  resolve,
  add_document,
  attach_document,
  attach_tool,
  create_agent,
  add_tool,
  keep_media,
]);

export type Command = z.infer<typeof command>;
/** The command of one verb. */
export type VerbOf<V extends Command["verb"]> = Extract<Command, { verb: V }>;

/** Who wants it; decides what may be wanted, and is written into the journal. */
export type By =
  | { readonly type: "person" }
  | { readonly type: "token"; readonly name: string }
  | { readonly type: "task"; readonly task_id: string; readonly tree_id: string }
  | { readonly type: "schedule"; readonly id: string }
  | { readonly type: "system"; readonly part: string };

export const PERSON: By = { type: "person" };

/** As it stands in the journal. */
export function byText(by: By): string {
  switch (by.type) {
    case "person":
      return "person";
    case "token":
      return `token:${by.name}`;
    case "task":
      return `task:${by.task_id}`;
    case "schedule":
      return `schedule:${by.id}`;
    case "system":
      return `system:${by.part}`;
  }
}
