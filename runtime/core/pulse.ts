/** Whether a kernel lives, as its launcher hears it: silence is counted, and too much of it is an end. */

/** `hung` is the last one: the process is on its way out. */
export interface Pulse {
  readonly phase: "starting" | "serving" | "hung";
  /** Since the last sign of life, as far as the launcher was awake to hear one. */
  readonly silent_ms: number;
}

export type PulseEvent =
  | { readonly type: "beat" }
  | { readonly type: "ready" }
  /** The launcher looked; so long after its last look. */
  | { readonly type: "look"; readonly passed_ms: number };

/** Silence after which a kernel counts as hung, before and after it was ready. */
export interface Silence {
  readonly starting_ms: number;
  readonly serving_ms: number;
}

export const NEWBORN: Pulse = { phase: "starting", silent_ms: 0 };

/** @param look_ms the longest that one look counts: who looks late slept, and heard nothing meanwhile */
export function pulseAfter(
  pulse: Pulse,
  event: PulseEvent,
  silence: Silence,
  look_ms: number,
): { readonly state: Pulse; readonly actions: readonly "kill"[] } {
  const quiet = (state: Pulse) => ({ state, actions: [] });
  if (pulse.phase === "hung") return quiet(pulse);
  switch (event.type) {
    case "beat":
      return quiet({ ...pulse, silent_ms: 0 });
    case "ready":
      return quiet({ phase: "serving", silent_ms: 0 });
    case "look": {
      const silent_ms = pulse.silent_ms + Math.min(event.passed_ms, look_ms);
      const most = pulse.phase === "starting" ? silence.starting_ms : silence.serving_ms;
      if (silent_ms < most) return quiet({ ...pulse, silent_ms });
      return { state: { phase: "hung", silent_ms }, actions: ["kill"] };
    }
  }
}
