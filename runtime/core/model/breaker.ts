/**
 * A circuit breaker: after so many failures in a row nobody asks for a while, then one call tries,
 * and its outcome decides. Source: M. Nygard, "Release It!", 2007.
 */
import { BREAKER_FAILURES, BREAKER_FIRST_MS, BREAKER_MAX_MS } from "../limits.ts";

export type Breaker =
  | { readonly state: "closed"; readonly failures: number }
  | {
    readonly state: "open";
    readonly reason: string;
    /** When one call may try, in ms since 1970. */
    readonly until: number;
    /** How often it has opened without a success in between. */
    readonly opened: number;
  }
  | { readonly state: "half_open"; readonly reason: string; readonly opened: number };

export const CLOSED: Breaker = { state: "closed", failures: 0 };

/** How long a call has to wait, in ms: 0 not at all, `Infinity` until the call that tries is over. */
export function breakerWait(breaker: Breaker, now: number): number {
  switch (breaker.state) {
    case "closed":
      return 0;
    case "open":
      return Math.max(0, breaker.until - now);
    case "half_open":
      return Infinity;
  }
}

/** A call begins: the first one after the pause is the one that tries. */
export function atCall(breaker: Breaker): Breaker {
  if (breaker.state !== "open") return breaker;
  return { state: "half_open", reason: breaker.reason, opened: breaker.opened };
}

/** @param reason the provider's fault, in words */
export function atFailure(breaker: Breaker, reason: string, now: number): Breaker {
  switch (breaker.state) {
    case "closed": {
      const failures = breaker.failures + 1;
      if (failures < BREAKER_FAILURES) return { state: "closed", failures };
      return open(reason, 1, now);
    }
    case "open":
      // A call that had begun before.
      return breaker;
    case "half_open":
      return open(reason, breaker.opened + 1, now);
  }
}

/** A call ended without saying anything about the provider: another one may try at once. */
export function atNothing(breaker: Breaker, now: number): Breaker {
  if (breaker.state !== "half_open") return breaker;
  return { state: "open", reason: breaker.reason, until: now, opened: breaker.opened };
}

function open(reason: string, opened: number, now: number): Breaker {
  const pause = Math.min(BREAKER_FIRST_MS * 2 ** (opened - 1), BREAKER_MAX_MS);
  return { state: "open", reason, until: now + pause, opened };
}
