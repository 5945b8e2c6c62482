/** What the runtime takes from the world, so that a simulation can give it another. */
import { monotonicFactory } from "ulid";
import type { Message } from "./core/protocol.ts";
import type { FromCell } from "./frames.ts";

export interface Clock {
  /** ms since 1970 */
  now(): number;
  /** Calls back once; the function that it returns calls it off. */
  after(ms: number, call: () => void): () => void;
}

export interface Ids {
  /** A new ULID; later ones sort later. */
  next(): string;
}

/** What a worker answered to one envelope. */
export type Step = Extract<FromCell, { t: "next" }>;

/** Where actors live. A worker is known by a number that is never used twice. */
export interface Cells {
  /** Gives an actor of this kind a worker of its own; `state` is JSON, null for a new actor. */
  start(kind: string, state: string | null): number;
  deliver(worker: number, envelope: string, message: Message): void;
  stop(worker: number): void;
  /** Set by the scheduler. `innocent`: its cell died of another worker's fault. */
  onStep: (worker: number, step: Step) => void;
  onFailure: (worker: number, reason: string, innocent: boolean) => void;
}

/** One line on the console about something a person should know. */
export type Log = (line: string) => void;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

const monotonic = monotonicFactory();

export const ulids: Ids = { next: () => monotonic() };
