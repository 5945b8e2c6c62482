/**
 * What travels: messages inside envelopes, effects out of actors, and the names of everything that
 * is written down. Plain JSON, so that each of them survives a process and a database.
 */

/** Names one actor for ever. An agent's address is the id of its task. */
export type Address = string;

/** What one actor tells another. `type` decides how it is received. */
export interface Message {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A message on its way: claimed by one worker at a time, removed when its step is settled. */
export interface Envelope {
  readonly id: string;
  readonly from: Address;
  readonly message: Message;
  /** How often it was handed to a worker, this time included. */
  readonly attempts: number;
}

/** What an actor wants done. It happens only after the step that asked for it is committed. */
export type Effect =
  | { readonly type: "send"; readonly to: Address; readonly message: Message }
  | {
    readonly type: "after";
    readonly name: string;
    readonly delay_ms: number;
    readonly message: Message;
  }
  | { readonly type: "note"; readonly message: Message }
  | { readonly type: "ask_model"; readonly turn: number }
  | {
    readonly type: "call_tool";
    readonly call_id: string;
    readonly name: string;
    readonly input: unknown;
  }
  | {
    readonly type: "start_child";
    readonly agent: string;
    readonly purpose: ChildPurpose;
    readonly instruction: string;
  }
  | { readonly type: "drop_effects" }
  | { readonly type: "stuck"; readonly reason: string };

/** An effect as the outbox holds it: committed, and without an outcome. */
export interface OpenEffect {
  /** `envelope/index`: its identity in the world outside. */
  readonly key: string;
  readonly address: Address;
  readonly tree_id: string;
  readonly effect: Effect;
  /** `started`: it was begun before, and its outcome was not written down. */
  readonly status: "pending" | "started";
  /** How often it came to nothing: the kernel died meanwhile, or its outcome could not be written down. */
  readonly attempts: number;
}

/** Why a task exists; decides what its `attach_…` tools reach and who waits for it. */
export type Purpose =
  | "root"
  | "subtask"
  | "breakdown"
  | "context"
  | "tools"
  | "evaluation"
  | "documentation"
  | "summary"
  | "supervision";

/** Of a task that another one asked for. */
export type ChildPurpose = Exclude<Purpose, "root">;

/** A tree or a task is in one of these; the last three are final. */
export type Status =
  | "queued"
  | "running"
  | "waiting"
  | "suspended"
  | "done"
  | "failed"
  | "cancelled";

/** How a task ended. */
export interface Ending {
  readonly status: "done" | "failed" | "cancelled";
  readonly result: string | null;
  /** What the parent receives instead of the result, when a summary agent ran. */
  readonly summary?: string;
  /** Why it failed or was cancelled, in one sentence. */
  readonly reason?: string;
}

/** Which tasks are followed by evaluator, documentation and summary agents. */
export type AfterTask = "all" | "root" | "none";

/** What a tree may use up; what is left out takes its default from the limits. */
export interface Budget {
  readonly tokens?: number;
  readonly cost_usd?: number;
  readonly wall_seconds?: number;
  readonly depth?: number;
  readonly tasks?: number;
  readonly turns?: number;
}

/** True for the statuses that nothing follows. */
export function isFinal(status: Status): boolean {
  return status === "done" || status === "failed" || status === "cancelled";
}
