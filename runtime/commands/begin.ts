/**
 * Turns what a person or an agent wants into units of work, and refuses what breaks a limit. Nothing
 * here runs an actor: it only puts envelopes into mailboxes.
 */
import type { Kysely } from "kysely";
import { findAgent } from "../../db/definitions.ts";
import { enqueue } from "../../db/envelopes.ts";
import type { Schema } from "../../db/schema.ts";
import { addTask, type NewTask, treeHasRoom } from "../../db/tasks.ts";
import { addTree } from "../../db/trees.ts";
import type { Statement, Unit } from "../../db/unit.ts";
import { DEPTH_MAX, TASKS_PER_TREE_MAX, TURNS_MAX } from "../core/limits.ts";
import type { AfterTask, Budget, Purpose } from "../core/protocol.ts";
import { Refusal } from "../core/refusal.ts";
import type { Ids } from "../ports.ts";

export interface TreeRequest {
  readonly instruction: string;
  readonly mode?: "automatic" | "manual";
  readonly priority?: number;
  readonly budget?: Budget;
  /** The root's agent; `agent_selector` when left out. */
  readonly agent?: string;
  readonly after_task?: AfterTask;
  readonly timeout_seconds?: number;
}

/**
 * A new tree with its root task and the root's first envelope.
 * @throws {Refusal} for an agent that does not exist
 */
export async function newTree(
  db: Kysely<Schema>,
  request: TreeRequest,
  defaults: { timeout_seconds: number },
  ids: Ids,
  now: number,
): Promise<{ id: string; root_id: string; unit: Unit }> {
  const name = request.agent ?? "agent_selector";
  const agent = await findAgent(db, name);
  if (!agent) throw new Refusal("agent", `There is no agent named ${name}`);
  const id = ids.next();
  const root_id = ids.next();
  const tree = {
    id,
    root_id,
    instruction: request.instruction,
    mode: request.mode ?? "automatic",
    priority: request.priority ?? 5,
    after_task: request.after_task ?? "all",
    budget: request.budget ?? {},
    timeout_seconds: request.timeout_seconds ?? defaults.timeout_seconds,
  };
  const root: NewTask = {
    id: root_id,
    tree_id: id,
    parent_id: null,
    call_id: null,
    purpose: "root",
    agent: name,
    agent_version: agent.version,
    instruction: request.instruction,
    depth: 0,
    timeout_seconds: Math.min(tree.timeout_seconds, agent.limits.timeout_seconds ?? Infinity),
  };
  const unit = [addTree(tree, now), ...starting(root, agent, tree, "person", ids, now)];
  return { id, root_id, unit };
}

export interface ChildRequest {
  readonly agent: string;
  readonly instruction: string;
  readonly purpose: Purpose;
  /** The parent's tool call that waits for the child; null when none does. */
  readonly call_id: string | null;
}

/**
 * A child of a task, with its first envelope.
 * @throws {Refusal} when the agent does not exist, the tree would grow too deep, or the task repeats
 *   one of its ancestors'
 */
export async function newChild(
  db: Kysely<Schema>,
  parent_id: string,
  request: ChildRequest,
  ids: Ids,
  now: number,
): Promise<{ id: string; statements: Statement[] }> {
  const [agent, parent, ancestors] = await Promise.all([
    findAgent(db, request.agent),
    db.selectFrom("tasks as task").innerJoin("trees as tree", "tree.id", "task.tree_id")
      .select([
        "task.tree_id",
        "task.depth",
        "tree.budget_json",
        "tree.after_task",
        "tree.timeout_seconds",
      ])
      .where("task.id", "=", parent_id).executeTakeFirstOrThrow(),
    ancestorsOf(db, parent_id),
  ]);
  if (!agent) throw new Refusal("agent_type", `There is no agent named ${request.agent}`);
  const budget = JSON.parse(parent.budget_json) as Budget;
  const depth = parent.depth + 1;
  const depth_max = budget.depth ?? DEPTH_MAX;
  if (depth > depth_max) {
    throw new Refusal("depth", `The tree may be ${depth_max} levels deep, no deeper`);
  }
  const repeats = ancestors.some(({ agent, instruction }) =>
    agent === request.agent && instruction === request.instruction
  );
  if (repeats) {
    throw new Refusal(
      "task_instruction",
      `${request.agent} was given this very task already, by an ancestor of this one: change it`,
    );
  }
  const task: NewTask = {
    id: ids.next(),
    tree_id: parent.tree_id,
    parent_id,
    call_id: request.call_id,
    purpose: request.purpose,
    agent: request.agent,
    agent_version: agent.version,
    instruction: request.instruction,
    depth,
    timeout_seconds: Math.min(
      parent.timeout_seconds,
      agent.limits.timeout_seconds ?? Infinity,
    ),
  };
  const policy = { budget, after_task: parent.after_task };
  return {
    id: task.id,
    statements: [
      treeHasRoom(parent.tree_id, budget.tasks ?? TASKS_PER_TREE_MAX),
      ...starting(task, agent, policy, parent_id, ids, now),
    ],
  };
}

/** The rows of a task and the envelope that starts it. */
function starting(
  task: NewTask,
  agent: { after_task: boolean; limits: { turns?: number } },
  tree: { budget: Budget; after_task: AfterTask },
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

/** The task itself and everything above it, by a walk up the tree. */
export function ancestorsOf(
  db: Kysely<Schema>,
  id: string,
): Promise<{ id: string; agent: string; instruction: string }[]> {
  return db.withRecursive(
    "above",
    (cte) =>
      cte.selectFrom("tasks").select(["id", "parent_id", "agent", "instruction"])
        .where("id", "=", id)
        .unionAll(
          cte.selectFrom("tasks as task").innerJoin("above", "above.parent_id", "task.id")
            .select(["task.id", "task.parent_id", "task.agent", "task.instruction"]),
        ),
  ).selectFrom("above").select(["id", "agent", "instruction"]).execute();
}

/** A task's live descendants, the task itself not included. */
export function descendantsOf(db: Kysely<Schema>, id: string): Promise<{ id: string }[]> {
  return db.withRecursive(
    "below",
    (cte) =>
      cte.selectFrom("tasks").select(["id"]).where("parent_id", "=", id)
        .unionAll(
          cte.selectFrom("tasks as task").innerJoin("below", "below.id", "task.parent_id")
            .select(["task.id"]),
        ),
  ).selectFrom("below").innerJoin("tasks", "tasks.id", "below.id")
    .select("below.id").where("tasks.ended_at", "is", null).execute();
}
