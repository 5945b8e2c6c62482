/** What the runtime takes from the world, so that a simulation can give it another. */
import { monotonicFactory } from "ulid";
import type { Step } from "./cells/frames.ts";
import type { Address, OpenEffect } from "./core/protocol.ts";
import type { Runnable } from "./core/schedule.ts";

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

/**
 * Whose fault a failure was: the actor's `own`, `none` of it (its cell died of another worker), or
 * `unclear`: it was silent, or its cell died, among others that may have done it.
 */
export type Fault = "own" | "none" | "unclear";

/** Where actors live. A worker is known by a number that is never used twice. */
export interface Cells {
  /** Gives an actor of this kind a worker of its own; a suspect gets a cell for itself alone. */
  start(kind: string, suspect: boolean): number;
  /** Hands an envelope over. Message and state are JSON; the state goes with a worker's first one. */
  deliver(worker: number, envelope: string, message: string, state: string | null): void;
  stop(worker: number): void;
  /** Set by the scheduler. */
  onStep: (worker: number, step: Step) => void;
  onFailure: (worker: number, reason: string, fault: Fault) => void;
}

/** Carries out committed effects. */
export interface Outbox {
  /** Performs, commits the outcome, and resolves when nothing of it is left to do. */
  perform(due: OpenEffect, runnable: Runnable): Promise<void>;
  /** Gives up whatever is under way for an actor. */
  abort(address: Address): void;
}

/** Who runs actors: told after a commit who has something to do, and who has ended. */
export interface Loop {
  wake(runnable: Runnable): void;
  /** Takes ended actors off their workers. */
  drop(addresses: readonly Address[]): void;
}

/** Who is told that something of a tree was committed. */
export interface News {
  publish(tree_id: string): void;
}

/** Something that runs until it is stopped or dies. */
export interface Child {
  /** Resolves once: null when it was stopped or ended by itself, else why it died. */
  readonly gone: Promise<string | null>;
  stop(): Promise<void>;
}

/** Starts one kind of child; `id` tells several of a kind apart. */
export type Starter = (id: string) => Promise<Child>;

/** One line on the console about something a person should know. */
export type Log = (line: string) => void;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/** Waits so long; rejects with the signal's reason when it is aborted before. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const leave = () => {
      callOff();
      reject(signal.reason);
    };
    const callOff = clock.after(ms, () => {
      signal.removeEventListener("abort", leave);
      resolve();
    });
    signal.addEventListener("abort", leave, { once: true });
  });
}

const monotonic = monotonicFactory();

export const ulids: Ids = { next: () => monotonic() };
