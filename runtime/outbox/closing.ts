/**
 * Writes down what came of an effect, and with that closes it. Whatever goes wrong here is an attempt that
 * came to nothing: it is counted where that survives a restart, and after the last one its actor is told
 * instead. What cannot even be told is buried, and what cannot be buried is closed alone.
 */
import { buryEffect } from "../../db/dead_letters.ts";
import { enqueue } from "../../db/envelopes.ts";
import {
  countAttempt,
  EFFECT_GONE,
  finishEffect,
  holdEffect,
  wasDropped,
} from "../../db/outbox.ts";
import { touchTask } from "../../db/tasks.ts";
import type { Statement, Unit, UnitResult } from "../../db/unit.ts";
import { commitAndTell, type Committing, type Concerned } from "../commands/commit.ts";
import { ending } from "../commands/ending.ts";
import { unitOf } from "../commands/mod.ts";
import { answer, failed, type Outcome } from "../commands/outcome.ts";
import type { Reading, Work } from "../commands/work.ts";
import type { By, Command } from "../core/command.ts";
import { afterFailedEffect, commitBackOff } from "../core/delivery.ts";
import type { Effect, OpenEffect } from "../core/protocol.ts";
import { reasonOf } from "../core/reason.ts";
import { Refusal } from "../core/refusal.ts";
import type { Runnable } from "../core/schedule.ts";
import { wellFormed } from "../core/text.ts";
import { type Log, pause } from "../ports.ts";

export interface ClosingPorts extends Committing, Reading {
  readonly log: Log;
}

/** What became of an attempt to write an outcome down. */
type Written =
  | { readonly type: "done" }
  /** Somebody else closed the effect, or nobody wants it any more. */
  | { readonly type: "gone" }
  /** What it wanted done is refused, and always will be. */
  | { readonly type: "refused"; readonly reason: string }
  /** `unknown`: it may have been written all the same. */
  | { readonly type: "failed"; readonly reason: string; readonly unknown: boolean };

export class Closing {
  readonly #ports: ClosingPorts;
  readonly #over: AbortSignal;

  /** @param over aborted when the outbox ends: then what is still open is taken up at the next start */
  constructor(ports: ClosingPorts, over: AbortSignal) {
    this.#ports = ports;
    this.#over = over;
  }

  /** Writes an outcome down, however long that takes; `again` when it is to be performed anew. */
  async close(due: OpenEffect, first: Outcome, runnable: Runnable): Promise<"closed" | "again"> {
    let outcome = first;
    let unknown = false;
    for (let tried = 1;; tried++) {
      const written = await this.#write(due, outcome, runnable);
      if (written.type === "done") return "closed";
      if (written.type === "gone") return await this.#gone(due, outcome, unknown);
      const { reason } = written;
      if (written.type === "refused") {
        // A limit refused what it wanted done: that is what its actor is told.
        outcome = refused(due.effect, reason, outcome);
        continue;
      }
      unknown ||= written.unknown;
      this.#ports.log(`Cannot close effect ${due.key} (${nameOf(due.effect)}): ${reason}`);
      switch (await this.#fate(due)) {
        case "gone":
          return await this.#gone(due, outcome, unknown);
        case "tell":
          outcome = refused(due.effect, `Its outcome cannot be written down: ${reason}`, outcome);
          continue;
        case "bury":
        case "drop":
          await this.bury(due, runnable, `Its outcome cannot be delivered: ${reason}`, outcome);
          return "closed";
        case "again":
          // Called off or not, it goes on: once nobody wants it, the store says so.
          if (await this.#rest(tried)) return "closed";
          // What held it may be decided by now.
          if (outcome.type === "held" && !written.unknown) return "again";
      }
    }
  }

  /**
   * Like an envelope that cannot be delivered: kept with the reason, and its task fails.
   * @param outcome that could not be written down, if there was one: what it cost stays true
   */
  async bury(
    due: OpenEffect,
    runnable: Runnable,
    reason: string,
    outcome: Outcome | null,
  ): Promise<void> {
    const { clock, log } = this.#ports;
    const why = wellFormed(reason);
    log(`Effect ${due.key} (${nameOf(due.effect)}) is buried: ${why}`);
    for (let tried = 1;; tried++) {
      const now = clock.now();
      const failed = { status: "failed", result: null, reason: why } as const;
      const task = { ...runnable, id: due.address };
      const end = ending(this.#ports, task, failed);
      const unit = [...buryEffect(due.key, why, now), ...end.unit, ...anywayOf(outcome)];
      const result = await this.#commit(unit, end.concerned);
      if (result.ok) return;
      if (result.reason === EFFECT_GONE) return void await this.#gone(due, outcome, tried > 1);
      log(`Cannot bury effect ${due.key}: ${result.reason}`);
      if (result.refused || await this.#fate(due) === "drop") return await this.#drop(due, outcome);
      if (await this.#rest(tried)) return;
    }
  }

  /** Its task still waits for it: that one is stuck, and the watch knows what to do then. */
  async #drop(due: OpenEffect, outcome: Outcome | null): Promise<void> {
    const now = this.#ports.clock.now();
    await this.#untilKnown(due, [finishEffect({ key: due.key, now })]);
    await this.pay(due, outcome);
  }

  /** An effect that nobody wants any more has cost what it cost. */
  async pay(due: OpenEffect, outcome: Outcome | null): Promise<void> {
    const unit = anywayOf(outcome);
    if (unit.length > 0) await this.#untilKnown(due, unit);
  }

  /** @param unknown whether an attempt to write the outcome down may have come through */
  async #gone(due: OpenEffect, outcome: Outcome | null, unknown: boolean): Promise<"closed"> {
    if (!unknown) await this.pay(due, outcome);
    // One that has an outcome is one whose cost is written down.
    else await this.#untilKnown(due, [wasDropped({ key: due.key }), ...anywayOf(outcome)]);
    return "closed";
  }

  async #untilKnown({ tree_id }: OpenEffect, unit: Unit): Promise<void> {
    for (let tried = 1;; tried++) {
      const result = await this.#commit(unit, () => ({ trees: [tree_id] }));
      if (result.ok || result.refused || await this.#rest(tried)) return;
    }
  }

  async #write(due: OpenEffect, outcome: Outcome, runnable: Runnable): Promise<Written> {
    let made: Pick<Work, "unit" | "concerned">;
    try {
      made = await this.#unitOf(due, outcome, runnable);
    } catch (error) {
      const reason = reasonOf(error);
      if (error instanceof Refusal) return { type: "refused", reason };
      return { type: "failed", reason, unknown: false };
    }
    const result = await this.#commit(made.unit, made.concerned);
    if (result.ok) return { type: "done" };
    const { reason } = result;
    if (reason === EFFECT_GONE) return { type: "gone" };
    if (result.refused && wantsMore(outcome)) return { type: "refused", reason };
    return { type: "failed", reason, unknown: !result.refused };
  }

  /**
   * The unit that closes an effect with this outcome.
   * @throws {Refusal} when what it wants done breaks a limit
   * @throws {Error} when that cannot be found out
   */
  async #unitOf(
    { key, address, tree_id, effect }: OpenEffect,
    outcome: Outcome,
    runnable: Runnable,
  ): Promise<Pick<Work, "unit" | "concerned">> {
    const { clock, ids } = this.#ports;
    const now = clock.now();
    const work = await this.#wanted(address, tree_id, outcome);
    const head = outcome.type === "held"
      ? [holdEffect({ key }), touchTask({ id: address })]
      : [finishEffect({ key, now }), touchTask({ id: address }), ...anywayOf(outcome)];
    const reply = outcome.type === "replied"
      ? outcome.reply
      : outcome.type === "commanded" && work?.said !== undefined && effect.type === "call_tool"
      ? answer(effect.call_id, { content: work.said })
      : null;
    const told = reply
      ? [enqueue({ id: ids.next(), tree_id, to: address, from: "performer", message: reply }, now)]
      : [];
    return {
      unit: [...head, ...told, ...work?.unit ?? []],
      concerned: (rows) => {
        const also: Concerned = work?.concerned(rows) ?? {};
        return {
          trees: [tree_id, ...also.trees ?? []],
          drop: also.drop ?? [],
          wake: [...reply ? [runnable] : [], ...also.wake ?? []],
        };
      },
    };
  }

  /** What the outcome wants done besides telling its actor. */
  async #wanted(task_id: string, tree_id: string, outcome: Outcome): Promise<Work | null> {
    const task: By = { type: "task", task_id, tree_id };
    switch (outcome.type) {
      case "replied":
        return outcome.command ? await unitOf(this.#ports, outcome.command, task) : null;
      case "commanded":
        return await unitOf(this.#ports, outcome.command, task);
      case "held":
        return outcome.question && await unitOf(this.#ports, outcome.question, task);
      case "tree_failed": {
        this.#ports.log(`Tree ${tree_id} is stopped: ${outcome.reason}`);
        const stop: Command = { verb: "stop_tree", tree_id, reason: outcome.reason };
        return await unitOf(this.#ports, stop, { type: "system", part: "gateway" });
      }
    }
  }

  /**
   * Counts an attempt that came to nothing, and says what becomes of its effect. A store that takes no
   * count takes nothing else: it is waited for, and no outcome is given up for that.
   */
  async #fate({ key }: OpenEffect): Promise<ReturnType<typeof afterFailedEffect> | "gone"> {
    const counting = countAttempt({ key });
    const result = await this.#commit([counting], () => ({}));
    if (!result.ok) return result.refused ? "gone" : "again";
    return afterFailedEffect(result.rows.of(counting)[0].attempts);
  }

  /** What was thrown was thrown before the commit or after it: nobody knows. */
  async #commit(unit: Unit, concerned: Work["concerned"]): Promise<UnitResult> {
    try {
      return await commitAndTell(this.#ports, unit, concerned);
    } catch (error) {
      return { ok: false, refused: false, reason: reasonOf(error) };
    }
  }

  /** Waits before another attempt; whether all of it is over meanwhile. */
  async #rest(tried: number): Promise<boolean> {
    await pause(this.#ports.clock, commitBackOff(tried), this.#over).catch(() => {});
    return this.#over.aborted;
  }
}

/** The outcome of an effect that did not come off; what an attempt at it cost stays true. */
export function refused(effect: Effect, reason: string, before: Outcome | null = null): Outcome {
  const reply = failed(effect, reason);
  if (!reply) throw new Error(`${effect.type} has no outcome`);
  return { type: "replied", reply, anyway: anywayOf(before) };
}

export function nameOf(effect: Effect): string {
  return effect.type === "call_tool" ? effect.name : effect.type;
}

/** Whether it wants more than to tell its actor, who then can be told that it was refused. */
function wantsMore(outcome: Outcome): boolean {
  return outcome.type === "replied" ? outcome.command !== undefined : outcome.type !== "held";
}

function anywayOf(outcome: Outcome | null): readonly Statement[] {
  return outcome && "anyway" in outcome ? outcome.anyway ?? [] : [];
}
