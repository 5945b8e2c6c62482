/** What must hold at every instant of a simulation, and what once everything has come to its end. */
import { PERFORM_ATTEMPTS_MAX } from "../../runtime/core/limits.ts";
import type { Database } from "./database.ts";
import { type Plan, type Turn, worthOf } from "./plan.ts";
import type { Wanted } from "./person.ts";
import type { World } from "./world.ts";

/** Each of them finds the rows that must not be. */
const NEVER_ROWS: Readonly<Record<string, string>> = {
  "a task lives below one that was ended from outside": `
    SELECT child.id FROM tasks AS child JOIN tasks AS parent ON parent.id = child.parent_id
    WHERE child.ended_at IS NULL AND parent.ended_at IS NOT NULL AND child.purpose <> 'supervision'
      AND (parent.status = 'cancelled' OR parent.reason LIKE 'Stuck:%'
        OR parent.reason LIKE 'The tree%')`,
  // What follows from a task goes on beside the end of that.
  "a task lives below one that has ended": `
    SELECT child.id FROM tasks AS child JOIN tasks AS parent ON parent.id = child.parent_id
    WHERE child.ended_at IS NULL AND parent.ended_at IS NOT NULL
      AND child.purpose NOT IN ('supervision', 'evaluation', 'documentation')`,
  "who waits for a slot counts as stuck":
    "SELECT address AS id FROM actors WHERE status = 'live' AND owner IS NULL AND rung = 'reminded'",
  "an effect began two children":
    "SELECT min(id) AS id FROM tasks WHERE effect_key IS NOT NULL GROUP BY effect_key HAVING count(*) > 1",
};

const LEFT_ROWS: Readonly<Record<string, string>> = {
  "a tree has not ended": "SELECT id FROM trees WHERE ended_at IS NULL",
  "a task has not ended": "SELECT id FROM tasks WHERE ended_at IS NULL",
  "an envelope is left": "SELECT id FROM envelopes",
  "a timer is left": "SELECT address AS id FROM timers",
  "an effect is open":
    "SELECT key AS id FROM outbox WHERE status IN ('pending', 'started', 'waiting')",
  "an actor is held": "SELECT address AS id FROM actors WHERE owner IS NOT NULL",
  "a blocking question is open": "SELECT id FROM reviews WHERE status = 'open' AND blocking = 1",
  "a budget is set aside": "SELECT key AS id FROM reservations WHERE lost = 0",
};

export function checkAlways(world: World, database: Database): void {
  find(world, database, NEVER_ROWS);
}

/**
 * What holds once whatever went wrong is over, and no commit is under way.
 * @param active how many actors the kernel says that it runs
 */
export function checkRecovered(world: World, database: Database, active: number): void {
  // Nobody else's lease is renewed.
  const [{ held }] = database.look<{ held: number }>(
    "SELECT count(*) AS held FROM actors WHERE owner IS NOT NULL",
  );
  if (held !== active) world.wrong(`${held} actors are held, and ${active} are active`);
}

/** @param ran how often each command was run */
export function checkEnd(
  world: World,
  database: Database,
  wanted: readonly Wanted[],
  ran: ReadonlyMap<string, number>,
): void {
  find(world, database, LEFT_ROWS);
  for (const [command, times] of ran) {
    if (times > 1) world.wrong(`the command ${command} was run ${times} times`);
  }
  const trees = database.look<{ id: string }>("SELECT id FROM trees").length;
  if (trees !== wanted.length) {
    world.wrong(`${wanted.length} trees were handed in, and there are ${trees}`);
  }
  for (const one of wanted) checkTree(world, database, one);
  for (const task of failedTasks(database)) {
    if (!mayFail(task, database)) world.wrong(`task ${task.id} failed: ${task.reason}`);
  }
}

function checkTree(world: World, database: Database, { tree_id, plan }: Wanted): void {
  if (tree_id === null) return world.wrong("nobody was told of a tree that was handed in");
  const [tree] = database.look<{ status: string; result: string | null; reason: string | null }>(
    "SELECT status, result, reason FROM trees WHERE id = ?",
    tree_id,
  );
  const [{ failed, begun }] = database.look<{ failed: number; begun: number }>(
    `SELECT count(*) FILTER (WHERE status <> 'done') AS failed,
      count(*) FILTER (WHERE purpose IN ('root', 'subtask')) AS begun
      FROM tasks WHERE tree_id = ?`,
    tree_id,
  );
  if (failed > 0 || tree.status !== "done") return;
  const { tasks, worth } = worthOf(plan);
  // One whose reads failed so often could not be begun, and is missing in the sum.
  if (begun < tasks && database.unread >= PERFORM_ATTEMPTS_MAX) return;
  if (begun !== tasks) world.wrong(`tree ${tree_id} has ${begun} tasks of ${tasks}`);
  else if (tree.result !== String(worth)) {
    world.wrong(`tree ${tree_id} is worth ${worth}, and ended with ${tree.result}`);
  }
}

interface FailedTask {
  readonly id: string;
  readonly reason: string;
  readonly instruction: string;
  readonly purpose: string;
}

function failedTasks(database: Database): FailedTask[] {
  return database.look<FailedTask>(
    "SELECT id, reason, instruction, purpose FROM tasks WHERE status <> 'done'",
  );
}

/** Whether the scene explains it: what nobody did wrong must come off. */
function mayFail({ reason, instruction, purpose }: FailedTask, { unread }: Database): boolean {
  if (purpose === "supervision") return true;
  if (/^The database failed/.test(reason)) return unread >= PERFORM_ATTEMPTS_MAX;
  if (/^The tree's budget is used up|^The task above it ended/.test(reason)) return true;
  // The worst of luck, three or ten times in a row.
  if (
    /^Failed \d+ times at |^\d+ attempts at \w+ came to nothing|^Its outcome cannot be|^overloaded$/
      .test(reason)
  ) {
    return true;
  }
  if (/^Stuck/.test(reason)) return planOf(instruction)?.turns.some(isSilent) ?? false;
  return false;
}

function planOf(instruction: string): Plan | null {
  return instruction.startsWith("{") ? JSON.parse(instruction) : null;
}

function isSilent(turn: Turn): boolean {
  return "silent" in turn;
}

function find(world: World, database: Database, rows: Readonly<Record<string, string>>): void {
  for (const [wrong, sql] of Object.entries(rows)) {
    const found = database.look<{ id: string }>(`${sql} LIMIT 1`);
    if (found.length > 0) world.wrong(`${wrong}: ${found[0].id}`);
  }
}
