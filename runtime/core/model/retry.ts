/**
 * Decides whether a model call that failed is made again, and when: the one place that does. An attempt
 * that gave nothing, a reply that broke off and a gateway that died count alike, under one deadline.
 */
import { MODEL_RETRY_FIRST_MS } from "../limits.ts";
import type { LastingFailure, ModelFailure } from "./messages.ts";
import { type Patience, pauseAfter } from "./patience.ts";

/** What was tried for one effect. */
export interface Tried {
  /** Those that count. */
  readonly attempts: number;
  /** When the first began, in ms since 1970. */
  readonly begun_at: number;
  /** What the last one failed of. */
  readonly reason: string | null;
}

export type AfterAttempt =
  | { readonly verdict: "again"; readonly tried: Tried; readonly wait_ms: number }
  | { readonly verdict: "give up"; readonly failure: LastingFailure };

/** When all of it has to be over, in ms since 1970. */
export function deadlineOf({ begun_at }: Tried, { deadline_ms }: Patience): number {
  return begun_at + deadline_ms;
}

/** @param drawn from 0 to 1 */
export function afterAttempt(
  tried: Tried,
  failure: ModelFailure,
  patience: Patience,
  now: number,
  drawn: number,
): AfterAttempt {
  const { failed } = failure;
  switch (failure.concerns) {
    case "task":
    case "tree":
    case "too_long":
      return { verdict: "give up", failure };
    case "late": {
      const waited = failure.waiting ? ", waiting for its turn" : "";
      const said = tried.reason === null ? waited : `: ${tried.reason}`;
      return giveUp(failed + said);
    }
    case "again": {
      const { retry_after_ms } = failure;
      const attempts = tried.attempts + (isPatientlyLimited(failure) ? 0 : 1);
      const pause_ms = retry_after_ms ?? pauseAfter(patience, attempts, drawn);
      const late = now + pause_ms > deadlineOf(tried, patience);
      if (late || attempts >= patience.attempts_max) return giveUp(failed);
      // The lane keeps every call back for as long as the provider asks: nothing is left to wait for here.
      const wait_ms = retry_after_ms === null ? pause_ms : 0;
      return { verdict: "again", tried: { ...tried, attempts, reason: failed }, wait_ms };
    }
  }
}

function giveUp(failed: string): AfterAttempt {
  return { verdict: "give up", failure: { failed, concerns: "task" } };
}

/** The provider says when its limits allow more: waiting for that in the lane is no attempt. */
function isPatientlyLimited(
  { limited, retry_after_ms }: Extract<ModelFailure, { concerns: "again" }>,
): boolean {
  return limited && retry_after_ms !== null && retry_after_ms >= MODEL_RETRY_FIRST_MS;
}
