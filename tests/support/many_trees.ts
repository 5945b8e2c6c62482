/** Thousands of trees at once, as a kernel leaves them behind that was stopped while they waited. */
import type { Statement, Unit } from "../../db/unit.ts";

export interface ManyTrees {
  readonly trees: number;
  readonly instruction: string;
  /** Of the actor, and the name of its agent in version 1. */
  readonly kind: string;
  readonly agent: string;
  /** SQL for a tree's priority by its number `at`; the younger trees have the higher numbers. */
  readonly priority?: string;
  /** Whether they wait for a slot, or have begun and wait for others. */
  readonly wait: "for_slot" | "for_others";
  /** The first message of each that waits for a slot. */
  readonly message: { readonly type: string; readonly [field: string]: unknown };
}

/** The unit that adds them, handed in a millisecond after each other. */
export function manyTrees(many: ManyTrees): Unit {
  const { trees, instruction, kind, agent, priority = "5", wait, message } = many;
  const [status, begun] = wait === "for_slot" ? ["queued", "NULL"] : ["waiting", "1"];
  const adding = (sql: string, ...parameters: string[]): Statement => ({
    sql: `WITH RECURSIVE numbers (at) AS
      (SELECT 0 UNION ALL SELECT at + 1 FROM numbers WHERE at < ${trees - 1}) ${sql} FROM numbers`,
    parameters,
  });
  const added = [
    adding(
      `INSERT INTO trees (id, root_id, instruction, status, mode, priority, after_task, budget_json,
          timeout_seconds, created_at, started_at)
        SELECT 'tree-' || at, 'root-' || at, ?, '${status}', 'automatic', ${priority}, 'none', '{}',
          3600, at, ${begun}`,
      instruction,
    ),
    adding(
      `INSERT INTO tasks (id, tree_id, purpose, agent, agent_version, instruction, depth, status,
          timeout_seconds, created_at, started_at)
        SELECT 'root-' || at, 'tree-' || at, 'root', ?, 1, ?, 0, '${status}', 3600, at, ${begun}`,
      agent,
      instruction,
    ),
    adding(
      `INSERT INTO actors (address, tree_id, kind, progress_at)
        SELECT 'root-' || at, 'tree-' || at, ?, 1`,
      kind,
    ),
  ];
  if (wait === "for_others") return added;
  return [
    ...added,
    adding(
      `INSERT INTO envelopes (id, tree_id, to_address, from_address, type, message_json, created_at)
        SELECT 'envelope-' || at, 'tree-' || at, 'root-' || at, 'person', ?, ?, at`,
      message.type,
      JSON.stringify(message),
    ),
  ];
}
