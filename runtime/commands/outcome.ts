/**
 * What comes of performing an effect, as data. Whoever performs says it; the outbox commits it together
 * with the end of the effect. Nothing here touches the world.
 */
import type { Statement } from "../../db/unit.ts";
import type { Command } from "../core/command.ts";
import { TOOL_RESULT_BYTES_MAX } from "../core/limits.ts";
import type { Address, Effect, Message } from "../core/protocol.ts";
import { headAndTailInBytes, wellFormed } from "../core/text.ts";
import type { PerformedBy, Tool } from "../core/toolkit/tool.ts";

/** `anyway`: what is true even when nobody wants the outcome any more, such as what it cost. */
export type Outcome =
  /** Its actor is told, and what it wants done becomes true in the same transaction. */
  | {
    readonly type: "replied";
    readonly reply: Message;
    readonly command?: Command;
    readonly anyway?: readonly Statement[];
  }
  /** What it wants done becomes true; what that says for itself, if anything, is the answer to its call. */
  | { readonly type: "commanded"; readonly command: Command }
  /** A person has to decide first; with the decision it is performed again. */
  | { readonly type: "held"; readonly question: Command | null }
  /** No other effect of its tree would fare better: the whole tree ends. */
  | {
    readonly type: "tree_failed";
    readonly reason: string;
    readonly anyway?: readonly Statement[];
  };

/** One call of a tool, with its arguments checked. */
export interface ToolCall {
  /** The effect's: it makes the call happen once. */
  readonly key: string;
  readonly task_id: Address;
  readonly tree_id: string;
  readonly call_id: string;
  readonly tool: Tool;
  readonly input: Record<string, unknown>;
}

/** Carries calls of some tools out. */
export interface ToolPerformer {
  /**
   * @throws {Refusal} that the agent is told
   * @throws {Error} for a fault that may pass: an idempotent call is made again
   */
  perform(call: ToolCall, signal: AbortSignal): Promise<Outcome>;
  /** Asked before the call is begun: null when it may be made, else why it is held. */
  allow?(call: ToolCall): Promise<Outcome | null>;
}

export type StartChild = Extract<Effect, { type: "start_child" }>;

/** Who performs what: closed, so that a new tool or effect without a performer does not compile. */
export interface Performers {
  readonly tools: { readonly [By in Exclude<PerformedBy, "agent">]: ToolPerformer };
  /** One turn of a task. It tries again by itself; what it throws is a fault of the store, or a bug. */
  readonly ask_model: (
    asked: { readonly key: string; readonly address: Address; readonly turn: number },
    signal: AbortSignal,
  ) => Promise<Outcome>;
  readonly start_child: (key: string, parent_id: Address, effect: StartChild) => Promise<Outcome>;
}

/** A tool's result as its caller receives it. */
export function answer(
  call_id: string,
  { content, is_error, log }: {
    readonly content: string;
    readonly is_error?: boolean;
    readonly log?: string;
  },
): Message {
  const more = { ...is_error ? { is_error } : {}, ...log ? { log: wellFormed(log) } : {} };
  return { type: "tool.replied", call_id, content: wellFormed(content), ...more };
}

/** What an actor is told of an effect that did not come off. */
export function failed(effect: Effect, why: string): Message | null {
  const reason = headAndTailInBytes(
    wellFormed(why),
    TOOL_RESULT_BYTES_MAX,
    (left_out) => `… ${left_out} characters are left out …`,
  );
  switch (effect.type) {
    case "call_tool":
      return answer(effect.call_id, { content: reason, is_error: true });
    case "ask_model":
      return { type: "model.failed", turn: effect.turn, reason };
    case "start_child":
      return {
        type: "child.ended",
        task_id: "",
        purpose: effect.purpose,
        status: "failed",
        result: null,
        reason,
      };
    case "send":
    case "after":
    case "note":
    case "drop_effects":
    case "stuck":
      // Done by settling: they never come here.
      return null;
  }
}
