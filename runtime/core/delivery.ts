/**
 * What proves that an actor may be run, and that an envelope was handed over; and what becomes of one
 * whose worker failed: tried again after a pause, or buried.
 */
import { ATTEMPTS_MAX, COMMIT_RETRY_MAX_MS, RETRY_FIRST_MS, RETRY_MAX_MS } from "./limits.ts";
import type { Address } from "./protocol.ts";

declare const claimed: unique symbol;
declare const taken: unique symbol;

/** Proof of a claim: settling needs it, and only the row that claiming returned makes one. */
export interface Claim {
  readonly [claimed]: true;
  readonly address: Address;
  readonly tree_id: string;
  readonly owner: string;
  readonly epoch: number;
}

/** An envelope in hand; only the row that taking returned makes one. */
export interface Delivered {
  readonly [taken]: true;
  readonly id: string;
  readonly type: string;
  readonly message_json: string;
  /** How often it was handed to a worker, this time included. */
  readonly attempts: number;
}

/**
 * Whose fault a failure was: the actor's `own`, `none` of it (its cell died of another worker), or
 * `unclear`: it was silent, or its cell died, among others that may have done it.
 */
export type Fault = "own" | "none" | "unclear";

export type AfterFailure =
  | { readonly verdict: "retry"; readonly due_at: number }
  | { readonly verdict: "bury" };

/** Decides by the number of attempts made so far (1 or more). Times in ms since 1970. */
export function afterFailure(attempts: number, now: number): AfterFailure {
  if (attempts >= ATTEMPTS_MAX) return { verdict: "bury" };
  return { verdict: "retry", due_at: now + backOff(attempts) };
}

/**
 * What becomes of an effect that came to nothing so many times (1 or more), while the store went on
 * counting: it is tried again; then its actor is told instead, which is an attempt of its own; then it is
 * buried; and what cannot be buried either is dropped.
 */
export function afterFailedEffect(attempts: number): "again" | "tell" | "bury" | "drop" {
  if (attempts < ATTEMPTS_MAX) return "again";
  if (attempts === ATTEMPTS_MAX) return "tell";
  return attempts < 2 * ATTEMPTS_MAX ? "bury" : "drop";
}

/** Exponential back-off in ms: doubles from `RETRY_FIRST_MS`, at most `RETRY_MAX_MS`. */
export function backOff(attempts: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** (attempts - 1), RETRY_MAX_MS);
}

/**
 * The same before a commit is tried again whose outcome nobody knows. Its task gets nowhere meanwhile, which
 * must not count against it.
 */
export function commitBackOff(attempts: number): number {
  return Math.min(backOff(attempts), COMMIT_RETRY_MAX_MS);
}
