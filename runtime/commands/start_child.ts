/** `start_child`: a task below another one; its end, not this, answers the call that asked for it. */
import { findAgent } from "../../db/definitions.ts";
import { type NewTask, parentOf, repeatsAbove, treeHasRoom } from "../../db/tasks.ts";
import { byText, type VerbOf } from "../core/command.ts";
import { CHILD_INSTRUCTION_BYTES_MAX, DEPTH_MAX, TASKS_PER_TREE_MAX } from "../core/limits.ts";
import { Refusal } from "../core/refusal.ts";
import { fits } from "../core/text.ts";
import { starting } from "./starting.ts";
import type { Verb } from "./work.ts";

/**
 * @throws {Refusal} when the agent does not exist, the tree would grow too deep, or the task repeats one
 *   of its ancestors'
 */
export const startChild: Verb<VerbOf<"start_child">, { task_id: string }> = async (
  { read, clock, ids },
  asked,
  by,
) => {
  const { parent_id, agent: name, instruction, purpose } = asked;
  const [agent, parent, repeats] = await Promise.all([
    findAgent(read, name),
    parentOf(read, parent_id),
    repeatsAbove(read, parent_id, { agent: name, instruction }),
  ]);
  if (!agent) throw new Refusal("agent_type", `There is no agent named ${name}`);
  const depth = parent.depth + 1;
  const depth_max = parent.budget.depth ?? DEPTH_MAX;
  if (depth > depth_max) {
    throw new Refusal("depth", `The tree may be ${depth_max} levels deep, no deeper`);
  }
  if (!fits(instruction, CHILD_INSTRUCTION_BYTES_MAX)) {
    throw new Refusal(
      "task_instruction",
      `With what it follows from, the instruction is longer than ${CHILD_INSTRUCTION_BYTES_MAX} ` +
        "bytes of JSON: write it to a file",
    );
  }
  if (repeats) {
    throw new Refusal(
      "task_instruction",
      `${name} was given this very task already, by an ancestor of this one: change it`,
    );
  }
  const { tree_id, priority, budget } = parent;
  const task: NewTask = {
    id: ids.next(),
    tree_id,
    parent_id,
    call_id: asked.call_id,
    effect_key: asked.effect_key,
    purpose,
    agent: name,
    agent_version: agent.version,
    instruction,
    depth,
    timeout_seconds: Math.min(parent.timeout_seconds, agent.limits.timeout_seconds ?? Infinity),
  };
  // A supervisor runs beside the slots: the stuck task may hold the last of them.
  const urgent = purpose === "supervision";
  return {
    unit: [
      treeHasRoom(tree_id, budget.tasks ?? TASKS_PER_TREE_MAX),
      ...starting(task, agent, parent, byText(by), ids, clock.now()),
    ],
    concerned: () => ({
      trees: [tree_id],
      wake: [{ address: task.id, tree_id, priority, urgent }],
    }),
    answer: { task_id: task.id },
    tree_id,
  };
};
