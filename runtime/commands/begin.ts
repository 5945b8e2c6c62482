/** `begin`: a new tree with its root task and the root's first envelope. */
import { findAgent } from "../../db/definitions.ts";
import type { NewTask } from "../../db/tasks.ts";
import { addTree } from "../../db/trees.ts";
import { byText, type VerbOf } from "../core/command.ts";
import { Refusal } from "../core/refusal.ts";
import { starting } from "./starting.ts";
import type { Verb } from "./work.ts";
import { PRIORITY } from "../core/limits.ts";

/** @throws {Refusal} for an agent that does not exist */
export const begin: Verb<VerbOf<"begin">, { tree_id: string }> = async (
  { read, clock, ids, timeout_seconds },
  asked,
  by,
) => {
  const name = asked.agent ?? "agent_selector";
  const agent = await findAgent(read, name);
  if (!agent) throw new Refusal("agent", `There is no agent named ${name}`);
  const now = clock.now();
  const id = ids.next();
  const root_id = ids.next();
  const tree = {
    id,
    root_id,
    instruction: asked.instruction,
    mode: asked.mode ?? "automatic",
    priority: asked.priority ?? PRIORITY,
    after_task: asked.after_task ?? "all",
    budget: asked.budget ?? {},
    timeout_seconds: asked.timeout_seconds ?? timeout_seconds,
  };
  const root: NewTask = {
    id: root_id,
    tree_id: id,
    parent_id: null,
    call_id: null,
    effect_key: null,
    purpose: "root",
    agent: name,
    agent_version: agent.version,
    instruction: asked.instruction,
    depth: 0,
    timeout_seconds: Math.min(tree.timeout_seconds, agent.limits.timeout_seconds ?? Infinity),
  };
  const { priority } = tree;
  return {
    unit: [addTree(tree, now), ...starting(root, agent, tree, byText(by), ids, now)],
    concerned: () => ({
      trees: [id],
      wake: [{ address: root_id, tree_id: id, priority, urgent: false, unbegun_since: now }],
      expect: {
        timeout_ms: tree.timeout_seconds * 1000,
        wall_ms: (tree.budget.wall_seconds ?? Infinity) * 1000,
      },
    }),
    answer: { tree_id: id },
    tree_id: id,
  };
};
