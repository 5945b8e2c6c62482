/**
 * Whether who says nothing has to be given up: a cell that does not beat, a worker that does not answer.
 * Only what it could have done counts against it. Who waits for a core that others have is not judged,
 * however long it takes; who had all the CPU time that it could need, or wanted none, is.
 */
import { CELL_LOOK_LATE_MS, RESTING_SHARE, WAITING_SHARE } from "./limits.ts";

/** What has gone by since it was last heard, as far as the kernel was awake to hear it. */
export interface Unheard {
  readonly silent_ms: number;
  /** CPU time that it got meanwhile if it spun all the time. */
  readonly cpu_ms: number;
  /** How long it wanted no CPU time. */
  readonly rested_ms: number;
}

export const JUST_HEARD: Unheard = { silent_ms: 0, cpu_ms: 0, rested_ms: 0 };

/** What one look found, since the look before. */
export interface LookedAt {
  readonly heard: boolean;
  readonly passed_ms: number;
  /** How much later than it was due the look was over. */
  readonly late_ms: number;
  /**
   * CPU time, and time that a thread was ready and waited for a core; null where none can be seen. `among`:
   * how many may have had it, each with a thread of its own.
   */
  readonly used: {
    readonly cpu_ms: number;
    readonly waited_ms: number;
    readonly among: number;
  } | null;
}

/** How long it may rest in silence, and the CPU time after which it only spins. */
export interface SilenceBounds {
  readonly silent_ms: number;
  readonly cpu_ms: number;
}

export function silenceAfter(
  unheard: Unheard,
  look: LookedAt,
  bounds: SilenceBounds,
): { readonly state: Unheard; readonly verdict: "none" | "spins" | "rests" } {
  if (look.heard) return { state: JUST_HEARD, verdict: "none" };
  // The kernel had no core itself, or slept: whoever spoke meanwhile has not been read yet.
  if (look.late_ms > CELL_LOOK_LATE_MS) return { state: unheard, verdict: "none" };
  const state = {
    silent_ms: unheard.silent_ms + look.passed_ms,
    // A thread that always wants to run gets its share of what all of them got.
    cpu_ms: unheard.cpu_ms + (look.used ? look.used.cpu_ms / look.used.among : 0),
    rested_ms: unheard.rested_ms + (rests(look) ? look.passed_ms : 0),
  };
  if (state.silent_ms < bounds.silent_ms) return { state, verdict: "none" };
  if (state.cpu_ms >= bounds.cpu_ms) return { state, verdict: "spins" };
  return { state, verdict: state.rested_ms >= bounds.silent_ms ? "rests" : "none" };
}

/** Where nothing can be seen, time alone counts. */
function rests({ passed_ms, used }: LookedAt): boolean {
  return used === null ||
    used.cpu_ms <= passed_ms * RESTING_SHARE && used.waited_ms <= passed_ms * WAITING_SHARE;
}
