/**
 * Carries out committed effects and commits their outcomes. An effect's key makes it happen once: its
 * outcome is written in the transaction that closes it, and a second closing is refused. Every effect
 * ends: an outcome that cannot be written down just now is tried until it is, one that never can be
 * becomes a failure that its actor is told of, and what killed the kernel three times is buried.
 */
import { buryEffect } from "../../db/dead_letters.ts";
import { enqueue } from "../../db/envelopes.ts";
import { EFFECT_GONE, finishEffect, holdEffect, startEffect } from "../../db/outbox.ts";
import { endTask } from "../../db/endings.ts";
import { touchTask } from "../../db/tasks.ts";
import { toolsOf } from "../../db/tools.ts";
import type { Unit } from "../../db/unit.ts";
import { commitAndTell, type Committing, type Concerned } from "../commands/commit.ts";
import { unitOf } from "../commands/mod.ts";
import {
  answer,
  failed,
  type Outcome,
  type Performers,
  type ToolCall,
} from "../commands/outcome.ts";
import type { Reading, Work } from "../commands/work.ts";
import type { By, Command } from "../core/command.ts";
import { backOff } from "../core/delivery.ts";
import { ATTEMPTS_MAX, PERFORM_ATTEMPTS_MAX } from "../core/limits.ts";
import type { Address, Effect, OpenEffect } from "../core/protocol.ts";
import { Refusal } from "../core/refusal.ts";
import type { Runnable } from "../core/schedule.ts";
import { parseInput } from "../core/toolkit/mod.ts";
import { type Log, type Outbox, pause } from "../ports.ts";
import { reasonOf } from "../core/reason.ts";

export interface OutboxPorts extends Committing, Reading {
  readonly log: Log;
}

export class EffectOutbox implements Outbox {
  readonly #ports: OutboxPorts;
  readonly #performers: Performers;
  readonly #under_way = new Map<Address, Set<AbortController>>();
  readonly #performing = new Set<Promise<void>>();
  /** Aborted when all of it ends. */
  readonly #over = new AbortController();

  constructor(ports: OutboxPorts, performers: Performers) {
    this.#ports = ports;
    this.#performers = performers;
  }

  async perform(due: OpenEffect, runnable: Runnable): Promise<void> {
    const controller = new AbortController();
    const others = this.#under_way.get(due.address) ?? new Set();
    this.#under_way.set(due.address, others.add(controller));
    const performing = this.#toItsEnd(due, runnable, controller.signal);
    this.#performing.add(performing);
    try {
      await performing;
    } finally {
      this.#performing.delete(performing);
      others.delete(controller);
      if (others.size === 0 && this.#under_way.get(due.address) === others) {
        this.#under_way.delete(due.address);
      }
    }
  }

  abort(address: Address): void {
    for (const controller of this.#under_way.get(address) ?? []) controller.abort();
  }

  /** Calls everything off, and waits until nothing of it is left to do. */
  async stop(): Promise<void> {
    this.#over.abort();
    for (const address of this.#under_way.keys()) this.abort(address);
    await Promise.allSettled(this.#performing);
  }

  async #toItsEnd(due: OpenEffect, runnable: Runnable, signal: AbortSignal): Promise<void> {
    if (due.attempts >= ATTEMPTS_MAX) {
      const reason = `The kernel died ${due.attempts} times while ${
        nameOf(due.effect)
      } was performed`;
      return await this.#bury(due, runnable, reason);
    }
    let again = true;
    while (again) {
      const outcome = await this.#attempt(due, signal);
      again = outcome !== null && await this.#close(due, outcome, runnable) === "again";
    }
  }

  /** Tries an effect until it has an outcome; null when it is no longer wanted. */
  async #attempt(due: OpenEffect, signal: AbortSignal): Promise<Outcome | null> {
    for (let attempt = 1;; attempt++) {
      try {
        const outcome = await this.#once(due, signal);
        return signal.aborted ? null : outcome;
      } catch (error) {
        if (signal.aborted) return null;
        if (error instanceof Refusal) return refused(due.effect, error.message);
        const reason = reasonOf(error);
        this.#ports.log(`Effect ${due.key} (${nameOf(due.effect)}) failed: ${reason}`);
        // A model call tries again by itself.
        const last = due.effect.type === "ask_model" ? 1 : PERFORM_ATTEMPTS_MAX;
        if (attempt >= last) return refused(due.effect, reason);
        if (await this.#rest(attempt, signal)) return null;
      }
    }
  }

  async #once(due: OpenEffect, signal: AbortSignal): Promise<Outcome | null> {
    const { effect, address, key } = due;
    switch (effect.type) {
      case "ask_model":
        return await this.#performers.ask_model({ key, address, turn: effect.turn }, signal);
      case "start_child":
        return await this.#performers.start_child(key, address, effect);
      case "call_tool":
        return await this.#call(due, effect, signal);
      case "send":
      case "after":
      case "note":
      case "drop_effects":
      case "stuck":
        throw new Error(`${effect.type} is done by settling, not by a performer`);
    }
  }

  async #call(
    due: OpenEffect,
    effect: Extract<Effect, { type: "call_tool" }>,
    signal: AbortSignal,
  ): Promise<Outcome | null> {
    const call = await this.#callOf(due, effect);
    const { performer } = call.tool;
    if (performer === "agent") {
      throw new Refusal("name", `${call.tool.name} must be alone in its turn`);
    }
    const tool = this.#performers.tools[performer];
    const held = await tool.allow?.(call);
    if (held) return held;
    if (call.tool.idempotent) return await tool.perform(call, signal);
    return await this.#callOnce(due, call, () => tool.perform(call, signal), signal);
  }

  /** The tool and its checked arguments. Throws a refusal for one that the task does not have. */
  async #callOf(
    { key, address, tree_id }: OpenEffect,
    { name, call_id, input }: Extract<Effect, { type: "call_tool" }>,
  ): Promise<ToolCall> {
    const granted = await toolsOf(this.#ports.read, address);
    const tool = granted.find((tool) => tool.name === name);
    if (!tool) {
      const others = granted.map(({ name }) => name).join(", ");
      throw new Refusal("name", `There is no tool ${name} for this task. There are: ${others}`);
    }
    const parsed = parseInput(tool, input);
    if (!parsed.ok) throw new Refusal("input", parsed.error);
    return { key, task_id: address, tree_id, call_id, tool, input: parsed.input };
  }

  /** A call that must not be made twice: what was begun and has no outcome stays unknown. */
  async #callOnce(
    due: OpenEffect,
    call: ToolCall,
    perform: () => Promise<Outcome>,
    signal: AbortSignal,
  ): Promise<Outcome | null> {
    const unknown = () => refused(due.effect, "interrupted: outcome unknown");
    if (due.status === "started") return unknown();
    const begun = await this.#tell([startEffect({ key: due.key })], () => ({}));
    if (!begun.ok && begun.refused) return null;
    // Nothing was begun: it is tried again.
    if (!begun.ok) throw new Error(begun.reason);
    try {
      return await perform();
    } catch (error) {
      if (signal.aborted || error instanceof Refusal) throw error;
      this.#ports.log(`Effect ${due.key} (${call.tool.name}) failed: ${reasonOf(error)}`);
      return unknown();
    }
  }

  /** Writes an outcome down, however long that takes; `again` when it is to be performed anew. */
  async #close(
    due: OpenEffect,
    first: Outcome,
    runnable: Runnable,
  ): Promise<"closed" | "again"> {
    let outcome = first;
    for (let attempt = 1;; attempt++) {
      const made = await this.#closing(due, outcome, runnable);
      if ("impossible" in made) {
        outcome = refused(due.effect, made.impossible, outcome);
        continue;
      }
      const result = await this.#tell(made.unit, made.concerned);
      if (result.ok) return "closed";
      if (!result.refused) {
        this.#ports.log(`Cannot commit the outcome of ${due.key}: ${result.reason}`);
      } else if (result.reason === EFFECT_GONE) {
        await this.#anyway(due, outcome);
        return "closed";
      } else if (outcome.type === "held") return "again";
      else if (outcome.type !== "replied" || outcome.command) {
        // A limit refused what it wanted done: that is what its actor is told.
        outcome = refused(due.effect, result.reason, outcome);
        continue;
      } else if (attempt >= ATTEMPTS_MAX) {
        await this.#bury(due, runnable, `Its outcome cannot be delivered: ${result.reason}`);
        return "closed";
      }
      // Called off or not, it goes on: once nobody wants it, the store says so.
      if (await this.#rest(attempt, this.#over.signal)) return "closed";
    }
  }

  /** The unit that closes an effect with this outcome, or why there can be none. */
  async #closing(
    due: OpenEffect,
    outcome: Outcome,
    runnable: Runnable,
  ): Promise<{ unit: Unit; concerned: Work["concerned"] } | { impossible: string }> {
    const { clock, ids } = this.#ports;
    const { address, tree_id, key, effect } = due;
    const now = clock.now();
    const own = { trees: [tree_id] };
    try {
      const work = await this.#wanted(due, outcome);
      const head = outcome.type === "held"
        ? [holdEffect({ key }), touchTask({ id: address })]
        : [finishEffect({ key, now }), touchTask({ id: address }), ...anywayOf(outcome)];
      const reply = outcome.type === "replied"
        ? outcome.reply
        : outcome.type === "commanded" && work?.said !== undefined && effect.type === "call_tool"
        ? answer(effect.call_id, { content: work.said })
        : null;
      const told = reply
        ? [enqueue(
          { id: ids.next(), tree_id, to: address, from: "performer", message: reply },
          now,
        )]
        : [];
      return {
        unit: [...head, ...told, ...work?.unit ?? []],
        concerned: (rows) => {
          const also: Concerned = work?.concerned(rows) ?? {};
          return {
            trees: [...own.trees, ...also.trees ?? []],
            drop: also.drop ?? [],
            wake: [...reply ? [runnable] : [], ...also.wake ?? []],
          };
        },
      };
    } catch (error) {
      if (error instanceof Refusal) return { impossible: error.message };
      throw error;
    }
  }

  /** What the outcome wants done besides telling its actor. */
  async #wanted({ address, tree_id }: OpenEffect, outcome: Outcome): Promise<Work | null> {
    const task: By = { type: "task", task_id: address, tree_id };
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

  /** An effect that nobody wants any more has cost what it cost. */
  async #anyway(due: OpenEffect, outcome: Outcome): Promise<void> {
    const unit = anywayOf(outcome);
    if (unit.length === 0) return;
    for (let attempt = 1;; attempt++) {
      const result = await this.#tell(unit, () => ({ trees: [due.tree_id] }));
      if (result.ok || result.refused) return;
      if (await this.#rest(attempt, this.#over.signal)) return;
    }
  }

  /** Like an envelope that cannot be delivered: kept with the reason, and its task fails. */
  async #bury(due: OpenEffect, runnable: Runnable, reason: string): Promise<void> {
    const { clock, ids, log } = this.#ports;
    log(`Effect ${due.key} (${nameOf(due.effect)}) is buried: ${reason}`);
    for (let attempt = 1;; attempt++) {
      const now = clock.now();
      const ending = { status: "failed", result: null, reason } as const;
      const end = endTask(due.address, ending, ids.next(), now);
      const unit = [...buryEffect(due.key, reason, now), ...end.unit];
      const result = await this.#tell(unit, (rows) => {
        const parent = end.parentTold(rows);
        return {
          trees: [due.tree_id],
          drop: [due.address],
          wake: parent === null ? [] : [{ ...runnable, address: parent, urgent: false }],
        };
      });
      if (result.ok || result.refused) return;
      if (await this.#rest(attempt, this.#over.signal)) return;
    }
  }

  #tell(unit: Unit, concerned: Work["concerned"]) {
    return commitAndTell(this.#ports, unit, concerned);
  }

  /** Waits before another attempt; whether it was called off meanwhile. */
  async #rest(attempt: number, signal: AbortSignal): Promise<boolean> {
    await pause(this.#ports.clock, backOff(attempt), signal).catch(() => {});
    return signal.aborted;
  }
}

/** The outcome of an effect that did not come off; what an attempt at it cost stays true. */
function refused(effect: Effect, reason: string, before?: Outcome): Outcome {
  const reply = failed(effect, reason);
  if (!reply) throw new Error(`${effect.type} has no outcome`);
  return { type: "replied", reply, anyway: before ? anywayOf(before) : [] };
}

function anywayOf(outcome: Outcome) {
  return "anyway" in outcome ? outcome.anyway ?? [] : [];
}

function nameOf(effect: Effect): string {
  return effect.type === "call_tool" ? effect.name : effect.type;
}
