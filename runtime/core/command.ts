/**
 * What anybody may want, as data, and who wants it. Forms, the API and agents' own tools all build the
 * same command from the same schema; `commands/` turns it into a unit of work.
 */
import * as z from "zod";
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

const name = z.string().min(1).max(NAME_CHARS_MAX);
const id = z.string().min(1).max(ID_CHARS_MAX);

/** Bounded in bytes of UTF-8, which is what it costs; the issue is that of a text that is too long. */
const instruction = z.string().trim().min(1, "must not be empty").check(({ value, issues }) => {
  if (new TextEncoder().encode(value).length <= INSTRUCTION_BYTES_MAX) return;
  issues.push({
    code: "too_big",
    origin: "string",
    maximum: INSTRUCTION_BYTES_MAX,
    inclusive: true,
    input: value,
    message: `must not be longer than ${INSTRUCTION_BYTES_MAX} bytes`,
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

export const command = z.discriminatedUnion("verb", [begin, decide, disable_tool, delete_tool]);

export type Command = z.infer<typeof command>;
export type Verb = Command["verb"];
/** The command of one verb. */
export type VerbOf<V extends Verb> = Extract<Command, { verb: V }>;

/** Who wants it; decides what may be wanted, and is written into the journal. */
export type By =
  | { readonly type: "person" }
  | { readonly type: "token"; readonly name: string }
  | { readonly type: "task"; readonly task_id: string; readonly tree_id: string }
  | { readonly type: "schedule"; readonly id: string }
  | { readonly type: "system"; readonly part: string };

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
