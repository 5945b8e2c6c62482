/** Starts other tasks: subtasks, breakdowns, requests, and what follows a task. */
import { journalOf } from "../../db/entries.ts";
import type { Db } from "../../db/schema.ts";
import { instructionOf } from "../../db/tasks.ts";
import type { Outcome, StartChild, ToolCall, ToolPerformer } from "../commands/outcome.ts";
import type { VerbOf } from "../core/command.ts";
import { tailOf } from "../core/model/prompt.ts";
import { nameBy } from "../core/toolkit/mod.ts";

/** Performs the core tools that start a task; its end answers the call. */
export function children({ read }: { readonly read: Db }): ToolPerformer {
  return {
    perform: async (call) => {
      const asked = await childOf(call, () => instructionOf(read, call.task_id));
      const whose = { parent_id: call.task_id, call_id: call.call_id, effect_key: call.key };
      return { type: "commanded", command: { verb: "start_child", ...asked, ...whose } };
    },
  };
}

/** Performs the effect that starts what follows a task: it is shown the end of the task's journal. */
export function followers({ read }: { readonly read: Db }) {
  return async (
    effect_key: string,
    parent_id: string,
    { agent, purpose, instruction }: StartChild,
  ): Promise<Outcome> => {
    const tail = tailOf(await journalOf(read, parent_id));
    const whose = { parent_id, call_id: null, effect_key };
    const asked = { agent, purpose, instruction: `${instruction}\n${tail}` };
    return { type: "commanded", command: { verb: "start_child", ...asked, ...whose } };
  };
}

type NewChild = Pick<VerbOf<"start_child">, "agent" | "instruction" | "purpose">;

/**
 * What a call asks for; its arguments have been checked.
 * @param own reads the caller's instruction, which most children are begun without
 */
async function childOf({ tool, input }: ToolCall, own: () => Promise<string>): Promise<NewChild> {
  // As the toolkit's schema has checked it.
  const said = input as Record<string, string>;
  switch (nameBy("child", tool)) {
    case "start_subtask":
      return {
        agent: said.agent_type,
        instruction: said.task_instruction,
        purpose: "subtask",
      };
    case "break_down_task":
      return { agent: "task_breakdown", instruction: await own(), purpose: "breakdown" };
    case "request_context":
      return {
        agent: "context_addition",
        instruction: `Context needed: ${said.context_needed}\n\nFor this task: ${await own()}`,
        purpose: "context",
      };
    case "request_tools":
      return {
        agent: "tool_addition",
        instruction: `Tools needed: ${said.tools_needed}\n\nFor this task: ${await own()}`,
        purpose: "tools",
      };
  }
}
