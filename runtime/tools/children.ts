/** Starts other tasks: subtasks, breakdowns, requests, and what follows a task. */
import type { Purpose } from "../core/protocol.ts";
import type { Parts } from "../kernel.ts";
import { type ChildRequest, newChild } from "../commands/begin.ts";
import { tailOf } from "../commands/tail.ts";
import type { Outcome, ToolCall } from "../outbox/execute.ts";

/**
 * Adds a child; its end, not this, answers the call that asked for it.
 * @throws {Refusal} when a limit forbids it
 */
export async function startChild(
  { store, ids, clock }: Parts,
  parent_id: string,
  { agent, instruction, purpose, call_id }: ChildRequest,
): Promise<Outcome> {
  const follows = FOLLOWING.includes(purpose);
  const whole = follows ? `${instruction}\n${await tailOf(store.read, parent_id)}` : instruction;
  const request = { agent, instruction: whole, purpose, call_id };
  const child = await newChild(store.read, parent_id, request, ids, clock.now());
  return { statements: child.statements, wake: [child.id] };
}

const FOLLOWING: readonly Purpose[] = ["evaluation", "documentation", "summary"];

/** The child that one of the core tools asks for. */
export async function childOf({ store }: Parts, call: ToolCall): Promise<ChildRequest> {
  const { tool, input, call_id } = call;
  const { instruction } = await store.read.selectFrom("tasks").select("instruction")
    .where("id", "=", call.task_id).executeTakeFirstOrThrow();
  switch (tool.name) {
    case "start_subtask":
      return {
        agent: input.agent_type as string,
        instruction: input.task_instruction as string,
        purpose: "subtask",
        call_id,
      };
    case "break_down_task":
      return { agent: "task_breakdown", instruction, purpose: "breakdown", call_id };
    case "request_context":
      return {
        agent: "context_addition",
        instruction: `Context needed: ${input.context_needed}\n\nFor this task: ${instruction}`,
        purpose: "context",
        call_id,
      };
    case "request_tools":
      return {
        agent: "tool_addition",
        instruction: `Tools needed: ${input.tools_needed}\n\nFor this task: ${instruction}`,
        purpose: "tools",
        call_id,
      };
    default:
      throw new Error(`${tool.name} starts no task`);
  }
}
