/**
 * What the tasks of a simulation are to do, drawn from the seed: the instruction of a task is its plan, and
 * the scripted model follows it. Each task is worth a number, and ends with the sum of what is below it.
 */
import type { World } from "./world.ts";

export interface Plan {
  /** No two tasks have the same. */
  readonly id: number;
  readonly value: number;
  readonly turns: readonly Turn[];
}

export type Turn =
  /** Side by side, each under its own id. */
  | { readonly calls: readonly Call[] }
  /** A reply without a call. */
  | { readonly says: string }
  /** No reply at all, `times` in a row: as stuck as can be when it never ends. */
  | { readonly silent: number };

export type Call =
  | { readonly tool: "start_subtask"; readonly plan: Plan }
  | { readonly tool: "flag_for_review"; readonly blocking: boolean }
  | { readonly tool: "use_terminal"; readonly command: string; readonly network: boolean }
  /** The terminal, for the task itself. */
  | { readonly tool: "attach_tool" }
  | { readonly tool: "write_file" | "list_agents" | "no_such_tool" };

/** Tasks of one tree at the most: its end must come in sight of a few hundred steps. */
const TASKS_MAX = 8;
const DEPTH = 3;

/** Turns that no reply comes for: so many as nobody has the patience for. */
export const NEVER = 1_000;

export function drawPlan(world: World): Plan {
  let tasks = 0;
  const draw = (depth: number): Plan => {
    const id = world.between(0, 1e9);
    tasks++;
    const turns: Turn[] = [];
    const length = world.between(0, 3);
    for (let turn = 0; turn < length; turn++) turns.push(...drawTurn(id, turn, depth));
    return { id, value: world.between(1, 1000), turns };
  };
  const drawTurn = (id: number, turn: number, depth: number): Turn[] => {
    const kind = world.between(0, 99);
    if (kind < 45 && depth < DEPTH) {
      const calls: Call[] = [];
      const wanted = world.between(1, 4);
      while (calls.length < wanted && tasks < TASKS_MAX) {
        calls.push({ tool: "start_subtask", plan: draw(depth + 1) });
      }
      if (world.chance(30)) calls.push({ tool: "write_file" });
      if (world.chance(20)) calls.push({ tool: "flag_for_review", blocking: true });
      return calls.length > 0 ? [{ calls }] : [];
    }
    if (kind < 65) return terminal(world, id, turn);
    if (kind < 75) return [{ calls: [{ tool: "flag_for_review", blocking: world.chance(70) }] }];
    if (kind < 85) return [{ calls: [{ tool: "list_agents" }, { tool: "no_such_tool" }] }];
    if (kind < 89) return [{ says: "Let me think." }];
    if (kind < 96) return [{ silent: 1 }];
    return [{ silent: world.chance(50) ? 3 : NEVER }];
  };
  return draw(0);
}

/** Commands happen at most once each; one beside others, some of which a person has to allow. */
function terminal(world: World, id: number, turn: number): Turn[] {
  const calls: Call[] = [];
  for (let call = world.between(1, 3); call > 0; call--) {
    const network = world.chance(40);
    calls.push({ tool: "use_terminal", command: `run ${id} ${turn} ${call}`, network });
  }
  return [{ calls: [{ tool: "attach_tool" }] }, { calls }];
}

/** What a task ends with when everything below it went well, and how many tasks that takes. */
export function worthOf(
  { value, turns }: Plan,
): { readonly worth: number; readonly tasks: number } {
  let worth = value;
  let tasks = 1;
  for (const call of turns.flatMap((turn) => "calls" in turn ? turn.calls : [])) {
    if (call.tool !== "start_subtask") continue;
    const below = worthOf(call.plan);
    worth += below.worth;
    tasks += below.tasks;
  }
  return { worth, tasks };
}
