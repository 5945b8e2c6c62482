/**
 * One transaction per step: what an actor answered becomes one unit of work. The unit's first
 * statement is its guard (the claim still holds), its last one takes the actor's next envelope, so
 * that an actor with more to do goes on without a claim in between.
 */
import { advanceActor, advanceStuckActor } from "../../db/actors.ts";
import { callStuck } from "../../db/ladder.ts";
import { deliveredOf, enqueue, removeEnvelope, seeFirst } from "../../db/envelopes.ts";
import { noteEntry, settleEntry } from "../../db/entries.ts";
import { addEffect, dropEffects } from "../../db/outbox.ts";
import { type EndOfTask, endTask } from "../../db/endings.ts";
import { setTimer } from "../../db/timers.ts";
import type { Rows, Statement, Unit } from "../../db/unit.ts";
import { LEASE_MS } from "../core/limits.ts";
import type { Next } from "../core/actor.ts";
import type { Claim, Delivered } from "../core/delivery.ts";
import type { Address, OpenEffect } from "../core/protocol.ts";
import type { Ids } from "../ports.ts";

export interface Settlement {
  readonly unit: Unit;
  /** What has to be performed once the unit is committed. */
  readonly due: readonly OpenEffect[];
  /** Actors that have an envelope once it is. */
  readonly woken: readonly Address[];
  /** The parent that an end was told. */
  readonly parentTold: EndOfTask["parentTold"];
  /** The actor's next envelope. */
  readonly taken: (rows: Rows) => Delivered | null;
}

/** What a step writes that answers the envelope which was delivered. */
export function settle(
  claim: Claim,
  delivered: Delivered,
  step: Next<string>,
  ids: Ids,
  now: number,
): Settlement {
  const { address, tree_id } = claim;
  const unit: Statement[] = [
    settleEntry({
      id: delivered.id,
      address,
      owner: claim.owner,
      epoch: claim.epoch,
      now,
    }),
    removeEnvelope({ id: delivered.id }),
  ];
  const advance = { address, state_json: step.state, lease_until: now + LEASE_MS };
  unit.push(
    // A reminder that it is stuck is no progress.
    delivered.type === "nudge" ? advanceStuckActor(advance) : advanceActor({ ...advance, now }),
  );
  const due: OpenEffect[] = [];
  const woken: Address[] = [];

  step.effects.forEach((effect, index) => {
    switch (effect.type) {
      case "note":
        unit.push(noteEntry({
          id: ids.next(),
          task_id: address,
          tree_id,
          type: effect.message.type,
          message_json: JSON.stringify(effect.message),
          by: null,
          now,
        }));
        return;
      case "send":
        unit.push(enqueue({ id: ids.next(), tree_id, from: address, ...effect }, now));
        if (effect.to !== address) woken.push(effect.to);
        return;
      case "after":
        unit.push(setTimer({
          address,
          tree_id,
          name: effect.name,
          message_json: JSON.stringify(effect.message),
          due_at: now + effect.delay_ms,
        }));
        return;
      case "drop_effects":
        unit.push(dropEffects({ address, now }));
        return;
      case "stuck":
        unit.push(callStuck({ address, now }));
        return;
      case "ask_model":
      case "call_tool":
      case "start_child": {
        const key = `${delivered.id}/${index.toString().padStart(2, "0")}`;
        const effect_json = JSON.stringify(effect);
        unit.push(addEffect({ key, tree_id, address, effect_json, now }));
        due.push({ key, address, tree_id, effect, status: "pending", attempts: 0 });
        return;
      }
    }
    // An effect that is not settled above does not compile.
    effect satisfies never;
  });
  if (step.ending) {
    const end = endTask(address, step.ending, ids.next(), now);
    unit.push(...end.unit);
    return { unit, due: [], woken, parentTold: end.parentTold, taken: () => null };
  }
  const seeing = seeFirst({ address, now });
  unit.push(seeing);
  const taken = (rows: Rows) => deliveredOf(rows.of(seeing));
  return { unit, due, woken, parentTold: () => null, taken };
}
