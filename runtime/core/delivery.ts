/** What becomes of an envelope whose worker failed: tried again after a pause, or buried. */
import { ATTEMPTS_MAX, RETRY_FIRST_MS, RETRY_MAX_MS } from "./limits.ts";

export type AfterFailure =
  | { readonly verdict: "retry"; readonly due_at: number }
  | { readonly verdict: "bury" };

/** Decides by the number of attempts made so far (1 or more). Times in ms since 1970. */
export function afterFailure(attempts: number, now: number): AfterFailure {
  if (attempts >= ATTEMPTS_MAX) return { verdict: "bury" };
  return { verdict: "retry", due_at: now + backOff(attempts) };
}

/** Exponential back-off in ms: doubles from `RETRY_FIRST_MS`, at most `RETRY_MAX_MS`. */
export function backOff(attempts: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** (attempts - 1), RETRY_MAX_MS);
}
