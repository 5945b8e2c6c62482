/** How a task begins: its rows, and the envelope that starts it. */
import { enqueue } from "../../db/envelopes.ts";
import { addTask, type NewTask } from "../../db/tasks.ts";
import type { Statement } from "../../db/unit.ts";
import { TURNS_MAX } from "../core/limits.ts";
import type { AfterTask, Budget } from "../core/protocol.ts";
import type { Ids } from "../ports.ts";

/** @param from who wants it, as the journal names them */
export function starting(
  task: NewTask,
  agent: { readonly after_task: boolean; readonly limits: { readonly turns?: number } },
  tree: { readonly budget: Budget; readonly after_task: AfterTask },
  from: string,
  ids: Ids,
  now: number,
): Statement[] {
  const followed = tree.after_task === "all" || tree.after_task === "root" && task.depth <= 1;
  const message = {
    type: "task.started",
    agent: task.agent,
    instruction: task.instruction,
    purpose: task.purpose,
    turns_max: Math.min(agent.limits.turns ?? TURNS_MAX, tree.budget.turns ?? Infinity),
    after_task: agent.after_task && followed,
  };
  return [
    ...addTask(task, "agent", now),
    enqueue({ id: ids.next(), tree_id: task.tree_id, to: task.id, from, message }, now),
  ];
}
