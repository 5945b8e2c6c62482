/**
 * Carries out committed effects and commits their outcomes. An effect's key makes it happen once: its
 * outcome is written in the transaction that closes it, and a second closing is refused.
 */
import { enqueue } from "../../db/envelopes.ts";
import { addMedia } from "../../db/media.ts";
import { finishEffect, holdEffect, startEffect } from "../../db/outbox.ts";
import { touchTask } from "../../db/tasks.ts";
import type { Statement } from "../../db/unit.ts";
import { backOff } from "../core/delivery.ts";
import { PERFORM_ATTEMPTS_MAX } from "../core/limits.ts";
import type { Address, Effect, Message } from "../core/protocol.ts";
import type { Runnable } from "../core/schedule.ts";
import { parseInput, type Tool } from "../core/toolkit/mod.ts";
import type { Parts } from "../kernel.ts";
import { Refusal } from "../core/refusal.ts";
import type { Outbox } from "../ports.ts";
import type { OpenEffect } from "../core/protocol.ts";
import { childOf, startChild } from "../tools/children.ts";
import { toolsOf } from "../tools/context.ts";
import { askModel } from "../model/asking.ts";
import type { FilesReply } from "../confined/files.ts";
import { flag } from "../tools/review.ts";
import { useStore } from "../tools/store.ts";
import { commandApproval, useTerminal } from "../tools/terminal.ts";
import { callWritten, createTool } from "../tools/workshop.ts";

/** What came of an effect. All of it is committed together. */
export interface Outcome {
  /** What else becomes true with it. */
  readonly statements?: readonly Statement[];
  /** What is true even when nobody wants the outcome any more: what it cost. */
  readonly anyway?: readonly Statement[];
  /** What its actor is told; nothing when somebody else will tell it. */
  readonly reply?: Message;
  /** It is not done yet: a person has to allow it, and then it is performed again. */
  readonly hold?: true;
  /** Who has something to do once it is committed. */
  readonly wake?: readonly Address[];
  /** Who was ended by it and must be taken off its worker. */
  readonly drop?: readonly Address[];
}

/** One call of a tool, with its arguments checked. */
export interface ToolCall {
  readonly key: string;
  readonly task_id: Address;
  readonly tree_id: string;
  readonly call_id: string;
  readonly tool: Tool;
  readonly input: Record<string, unknown>;
}

export class Performers implements Outbox {
  readonly #parts: Parts;
  readonly #wake: (runnable: Runnable) => void;
  readonly #drop: (addresses: readonly Address[]) => void;
  readonly #under_way = new Map<Address, Set<AbortController>>();

  constructor(
    parts: Parts,
    calls: {
      wake: (runnable: Runnable) => void;
      drop: (addresses: readonly Address[]) => void;
    },
  ) {
    this.#parts = parts;
    this.#wake = calls.wake;
    this.#drop = calls.drop;
  }

  async perform(due: OpenEffect, runnable: Runnable): Promise<void> {
    const controller = new AbortController();
    const others = this.#under_way.get(due.address) ?? new Set();
    this.#under_way.set(due.address, others.add(controller));
    try {
      const outcome = await this.#attempt(due, controller.signal);
      if (outcome) await this.#commit(due, outcome, runnable);
    } finally {
      others.delete(controller);
      if (others.size === 0 && this.#under_way.get(due.address) === others) {
        this.#under_way.delete(due.address);
      }
    }
  }

  abort(address: Address): void {
    for (const controller of this.#under_way.get(address) ?? []) controller.abort();
  }

  /** Tries an effect until it has an outcome; null when it is no longer wanted. */
  async #attempt(due: OpenEffect, signal: AbortSignal): Promise<Outcome | null> {
    for (let attempt = 1;; attempt++) {
      try {
        const outcome = await this.#once(due, signal);
        return signal.aborted ? null : outcome;
      } catch (error) {
        if (signal.aborted) return null;
        if (error instanceof Refusal) return failed(due.effect, error.message);
        const reason = (error as Error).message;
        this.#parts.log(`Effect ${due.key} (${nameOf(due.effect)}) failed: ${reason}`);
        if (attempt >= PERFORM_ATTEMPTS_MAX) return failed(due.effect, reason);
        await new Promise<void>((resolve) => this.#parts.clock.after(backOff(attempt), resolve));
      }
    }
  }

  async #once(due: OpenEffect, signal: AbortSignal): Promise<Outcome | null> {
    const { effect, address } = due;
    switch (effect.type) {
      case "ask_model":
        return await askModel(this.#parts, { key: due.key, address, turn: effect.turn }, signal);
      case "start_child":
        return await startChild(this.#parts, address, { ...effect, call_id: null });
      case "call_tool": {
        const call = await this.#callOf(due, effect);
        if (call.tool.performer === "terminal") {
          const held = await commandApproval(this.#parts, call);
          if (held) return held;
        }
        return call.tool.idempotent
          ? await this.#call(call, signal)
          : await this.#callOnce(due, call, signal);
      }
      case "send":
      case "after":
      case "note":
      case "drop_effects":
      case "stuck":
        throw new Error(`${effect.type} is done by settling, not by a performer`);
    }
  }

  /** The tool and its checked arguments. Throws a refusal for one that the task does not have. */
  async #callOf(
    { key, address, tree_id }: OpenEffect,
    { name, call_id, input }: Extract<Effect, { type: "call_tool" }>,
  ): Promise<ToolCall> {
    const granted = await toolsOf(this.#parts.store.read, address);
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
  async #callOnce(due: OpenEffect, call: ToolCall, signal: AbortSignal): Promise<Outcome | null> {
    const unknown = () => failed(due.effect, "interrupted: outcome unknown");
    if (due.status === "started") return unknown();
    const begun = await this.#parts.store.commit([startEffect({ key: due.key })]);
    if (!begun.ok) return null;
    try {
      return await this.#call(call, signal);
    } catch (error) {
      if (signal.aborted || error instanceof Refusal) throw error;
      this.#parts.log(`Effect ${due.key} (${call.tool.name}) failed: ${(error as Error).message}`);
      return unknown();
    }
  }

  async #call(call: ToolCall, signal: AbortSignal): Promise<Outcome> {
    switch (call.tool.performer) {
      case "child":
        return await startChild(this.#parts, call.task_id, await childOf(this.#parts, call));
      case "review":
        return flag(this.#parts, call);
      case "store":
        return await useStore(this.#parts, call);
      case "files":
        return withMedia(call, await this.#parts.files.use(call, signal), this.#parts.clock.now());
      case "workshop":
        return await createTool(this.#parts, call, signal);
      case "terminal":
        return await useTerminal(this.#parts, call, signal);
      case "written":
        return await callWritten(this.#parts, call, signal);
      case "agent":
        throw new Refusal("name", `${call.tool.name} must be alone in its turn`);
    }
  }

  async #commit(due: OpenEffect, outcome: Outcome, runnable: Runnable): Promise<void> {
    const { store, clock, ids, events, log } = this.#parts;
    const { address, tree_id, key } = due;
    const now = clock.now();
    const close = outcome.hold ? holdEffect({ key }) : finishEffect({ key, now });
    const { statements = [], anyway = [] } = outcome;
    const unit = [close, touchTask({ id: address }), ...anyway, ...statements];
    if (outcome.reply) {
      const message = outcome.reply;
      unit.push(enqueue({ id: ids.next(), tree_id, to: address, from: "performer", message }, now));
    }
    const result = await store.commit(unit).catch((error: Error) => ({
      ok: false as const,
      refused: false,
      reason: error.message,
    }));
    if (!result.ok) {
      // The effect itself is no longer wanted, or a limit refused what it wanted to add.
      if (result.refused && anyway.length > 0) await store.commit(anyway);
      if (result.refused && statements.length > 0) {
        await this.#commit(due, failed(due.effect, result.reason), runnable);
      } else if (!result.refused) log(`Cannot commit the outcome of ${key}: ${result.reason}`);
      return;
    }
    events.publish(tree_id);
    if (outcome.drop) this.#drop(outcome.drop);
    if (outcome.reply) this.#wake(runnable);
    for (const other of outcome.wake ?? []) {
      this.#wake({ ...runnable, address: other, urgent: false });
    }
  }
}

/** A tool's result as its caller receives it. */
export function answer(
  call_id: string,
  { content, is_error, log }: { content: string; is_error?: boolean; log?: string },
): Outcome {
  const more = { ...is_error ? { is_error } : {}, ...log ? { log } : {} };
  return { reply: { type: "tool.replied", call_id, content, ...more } };
}

/** A result with a picture or document: the journal names it, and its bytes are kept beside. */
function withMedia(call: ToolCall, { media, ...reply }: FilesReply, now: number): Outcome {
  const outcome = answer(call.call_id, reply);
  if (!media) return outcome;
  const { hash, media_type } = media;
  return {
    statements: [addMedia(media, now)],
    reply: { ...outcome.reply!, media: [{ hash, media_type }] },
  };
}

/** What an actor is told of an effect that did not come off. */
function failed(effect: Effect, reason: string): Outcome {
  switch (effect.type) {
    case "call_tool":
      return answer(effect.call_id, { content: reason, is_error: true });
    case "ask_model":
      return { reply: { type: "model.failed", turn: effect.turn, reason } };
    case "start_child":
      return {
        reply: {
          type: "child.ended",
          task_id: "",
          purpose: effect.purpose,
          status: "failed",
          result: null,
          reason,
        },
      };
    default:
      return {};
  }
}

function nameOf(effect: Effect): string {
  return effect.type === "call_tool" ? effect.name : effect.type;
}
