/** Starts other tasks: subtasks, breakdowns, requests, and what follows a task. */
import { conversation } from "../core/model/prompt.ts";
import type { Purpose } from "../core/protocol.ts";
import type { Parts } from "../kernel.ts";
import { type ChildRequest, newChild } from "../commands/begin.ts";
import type { Outcome, ToolCall } from "../outbox/execute.ts";

/** Messages and characters of a finished task's journal that its after-task agents are shown. */
const TAIL_MESSAGES = 20;
const TAIL_CHARS = 8_000;

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

/** The end of a journal, as the after-task agents and the supervisor read it. */
export async function tailOf(db: Parts["store"]["read"], task_id: string): Promise<string> {
  const entries = await db.selectFrom("entries").select("message_json")
    .where("task_id", "=", task_id).orderBy("seq").execute();
  // As a conversation, where results stand in the order of their calls and not of their arrival: the same
  // task reads the same whenever it is gone through again.
  const messages = conversation(entries.map(({ message_json }) => JSON.parse(message_json)));
  const lines = messages.slice(-TAIL_MESSAGES)
    .map((message) => JSON.stringify(message).slice(0, TAIL_CHARS));
  return `<journal>\n${lines.join("\n").slice(-TAIL_CHARS)}\n</journal>`;
}
