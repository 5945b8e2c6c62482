/**
 * Carries out committed effects until they have an outcome, and has that written down (`closing.ts`). An
 * effect's key makes it happen once: its outcome is written in the transaction that closes it, and a second
 * closing is refused. Every effect ends, whatever goes wrong; what killed the kernel three times is buried.
 */
import { startEffect } from "../../db/outbox.ts";
import { toolsOf } from "../../db/tools.ts";
import { commitAndTell } from "../commands/commit.ts";
import type { Outcome, Performers, ToolCall } from "../commands/outcome.ts";
import { backOff } from "../core/delivery.ts";
import { ATTEMPTS_MAX, PERFORM_ATTEMPTS_MAX } from "../core/limits.ts";
import type { Address, Effect, OpenEffect } from "../core/protocol.ts";
import { reasonOf } from "../core/reason.ts";
import { Refusal } from "../core/refusal.ts";
import type { Runnable } from "../core/schedule.ts";
import { parseInput } from "../core/toolkit/mod.ts";
import { type Outbox, pause } from "../ports.ts";
import { Closing, type ClosingPorts, nameOf, refused } from "./closing.ts";

export class EffectOutbox implements Outbox {
  readonly #ports: ClosingPorts;
  readonly #performers: Performers;
  readonly #closing: Closing;
  readonly #under_way = new Map<Address, Set<AbortController>>();
  readonly #performing = new Set<Promise<void>>();
  /** Aborted when all of it ends. */
  readonly #over = new AbortController();

  constructor(ports: ClosingPorts, performers: Performers) {
    this.#ports = ports;
    this.#performers = performers;
    this.#closing = new Closing(ports, this.#over.signal);
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
    const bury = (reason: string) => this.#closing.bury(due, runnable, reason, null);
    const name = nameOf(due.effect);
    if (due.attempts >= ATTEMPTS_MAX) {
      return await bury(
        `${due.attempts} attempts at ${name} came to nothing: the kernel died meanwhile, or its ` +
          "outcome could not be written down",
      );
    }
    try {
      let again = true;
      while (again) {
        const outcome = await this.#attempt(due, signal);
        again = outcome !== null && await this.#closing.close(due, outcome, runnable) === "again";
      }
    } catch (error) {
      // A bug of ours: left open, the effect would be taken up again and again.
      await bury(`${name} cannot be performed: ${reasonOf(error)}`);
    }
  }

  /** Tries an effect until it has an outcome; null when it is no longer wanted. */
  async #attempt(due: OpenEffect, signal: AbortSignal): Promise<Outcome | null> {
    for (let attempt = 1;; attempt++) {
      try {
        const outcome = await this.#once(due, signal);
        if (!signal.aborted) return outcome;
        // Called off when it was there already.
        await this.#closing.pay(due, outcome);
        return null;
      } catch (error) {
        if (signal.aborted) return null;
        if (error instanceof Refusal) return refused(due.effect, error.message);
        const reason = reasonOf(error);
        this.#ports.log(`Effect ${due.key} (${nameOf(due.effect)}) failed: ${reason}`);
        if (attempt >= PERFORM_ATTEMPTS_MAX) return refused(due.effect, reason);
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
    const begun = await commitAndTell(this.#ports, [startEffect({ key: due.key })], () => ({}));
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

  /** Waits before another attempt; whether it was called off meanwhile. */
  async #rest(attempt: number, signal: AbortSignal): Promise<boolean> {
    await pause(this.#ports.clock, backOff(attempt), signal).catch(() => {});
    return signal.aborted;
  }
}
