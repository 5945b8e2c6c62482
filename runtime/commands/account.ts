/**
 * What a model call does to its tree's account: something is set aside before it, what it cost is written
 * down after it, and what was not needed is given back.
 */
import { actorProgresses } from "../../db/actors.ts";
import { loseReservation, release, reserve } from "../../db/reservations.ts";
import { addUsage } from "../../db/usage.ts";
import type { Unit } from "../../db/unit.ts";
import type { Grant, Left } from "../core/model/budget.ts";
import type { Usage } from "../core/model/messages.ts";

/**
 * Sets aside what a call may cost. What stands under its key was for a call that a crash cut off: what that
 * cost nobody knows.
 * @param most the tree's whole budget
 * @param lost_id new, for what was cut off
 */
export function reserveFor(
  { key, tree_id }: { readonly key: string; readonly tree_id: string },
  { tokens, cost_nano }: Grant,
  most: Left,
  lost_id: string,
  now: number,
): Unit {
  const bounds = { tokens_max: most.tokens, cost_nano_max: most.cost_nano };
  return [
    loseReservation({ key, lost_key: `${key}/${lost_id}` }),
    reserve({ key, tree_id, tokens, cost_nano, ...bounds, now }),
  ];
}

/** Writes down what a call used, instead of what was set aside for it. */
export function chargeFor(
  { key, task_id }: { readonly key: string; readonly task_id: string },
  used: { readonly model: string; readonly usage: Usage; readonly cost_nano: number | null },
): Unit {
  return [addUsage({ id: task_id, ...used }), release({ key })];
}

/** For a call that was never begun. */
export function giveBack({ key }: { readonly key: string }): Unit {
  return [release({ key })];
}

/** While a model is heard, or others are waited for, its task is not stuck. */
export function progressOf(task_id: string, now: number): Unit {
  return [actorProgresses({ address: task_id, now })];
}
