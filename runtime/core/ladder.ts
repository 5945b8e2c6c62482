/**
 * The ladder for tasks that get nowhere: a reminder, then the supervisor agent, then the end. Whoever
 * moves steps off it from any rung, and who waits for a slot does not climb: that is not being stuck.
 */
import { STUCK_GRACE_MS, STUCK_RESOLVED_MS, SUPERVISION_MS } from "./limits.ts";
import type { Purpose } from "./protocol.ts";

/** On a rung since when, and since when on any; times in ms since 1970. */
interface OnRung {
  readonly progress_at: number;
  readonly detected_at: number;
  readonly since: number;
}

/** Where a task stands. `called`: it says itself that it is stuck, and needs no reminder. */
export type Standing =
  | { readonly rung: "none"; readonly progress_at: number }
  | { readonly rung: "reminded" } & OnRung
  | { readonly rung: "called" } & OnRung
  | { readonly rung: "supervised" } & OnRung
  | { readonly rung: "ended" } & OnRung;

export type Rung = Standing["rung"];

/** Whether a task is held by an owner, has something to do and no owner yet, or neither. */
export type Place = "held" | "waits_for_slot" | "rests";

export type LadderEvent =
  | {
    readonly type: "looked";
    readonly now: number;
    readonly place: Place;
    readonly timeout_ms: number;
    readonly purpose: Purpose;
  }
  /** It was claimed, took a step, or its model was heard. */
  | { readonly type: "moved"; readonly now: number }
  /** Its owner let go of it: it waits for others now, or for a slot. */
  | { readonly type: "released" }
  | { readonly type: "called"; readonly now: number }
  /** Nobody can be started to decide about it. */
  | { readonly type: "unsupervised"; readonly now: number; readonly why: string };

/** What is carried out together with the new standing, or not at all. */
export type LadderAction =
  | { readonly type: "remind"; readonly text: string }
  | { readonly type: "supervise"; readonly why: string }
  | { readonly type: "give_up"; readonly reason: string };

export interface Climbed {
  readonly state: Standing;
  readonly actions: readonly LadderAction[];
}

export function climb(state: Standing, event: LadderEvent): Climbed {
  switch (event.type) {
    case "looked":
      return event.place === "waits_for_slot" ? stay(state) : onLook(state, event);
    case "moved":
      return stay({ rung: "none", progress_at: event.now });
    case "released":
      // Held it was not at rest: only who called waits for somebody to decide.
      return state.rung === "called" ? stay(state) : stay(off(state));
    case "called":
      return stay(onto("called", state, event.now, event.now));
    case "unsupervised":
      return giveUp(state, event.now, `${cause(state, event.now)} (${event.why})`);
  }
}

function onLook(state: Standing, event: Extract<LadderEvent, { type: "looked" }>): Climbed {
  const { now, place, timeout_ms, purpose } = event;
  if (state.rung !== "none" && now - state.detected_at >= STUCK_RESOLVED_MS) {
    return giveUp(state, now, `${cause(state, now)}, and nobody resolved it`);
  }
  switch (state.rung) {
    case "none": {
      const silent_ms = now - state.progress_at;
      if (place !== "held" || silent_ms < timeout_ms) return stay(state);
      // A supervisor of a stuck task gets none of its own.
      if (purpose === "supervision") {
        return silent_ms < SUPERVISION_MS ? stay(state) : giveUp(state, now, cause(state, now));
      }
      const text = `There was ${quiet(state, now)}. Go on with your task, or end it.`;
      return { state: onto("reminded", state, now, now), actions: [{ type: "remind", text }] };
    }
    case "reminded":
      if (place !== "held") return stay(off(state));
      if (now - state.since < STUCK_GRACE_MS) return stay(state);
      return supervise(state, now, `it has made ${quiet(state, now)} and was reminded once`);
    case "called":
      // Its owner is about to let go of it, which must not be taken for a move.
      if (place === "held") return stay(state);
      if (purpose === "supervision") return giveUp(state, now, cause(state, now));
      return supervise(state, now, "it says itself that it is stuck");
    case "supervised":
    case "ended":
      return stay(state);
  }
}

function supervise(state: OnRung, now: number, why: string): Climbed {
  return {
    state: onto("supervised", state, state.detected_at, now),
    actions: [{ type: "supervise", why }],
  };
}

function giveUp(state: Standing, now: number, why: string): Climbed {
  const detected_at = state.rung === "none" ? now : state.detected_at;
  return {
    state: onto("ended", state, detected_at, now),
    actions: [{ type: "give_up", reason: `Stuck: ${why}` }],
  };
}

function onto<R extends Exclude<Rung, "none">>(
  rung: R,
  { progress_at }: { readonly progress_at: number },
  detected_at: number,
  since: number,
): { readonly rung: R } & OnRung {
  return { rung, progress_at, detected_at, since };
}

function off({ progress_at }: Standing): Standing {
  return { rung: "none", progress_at };
}

function stay(state: Standing): Climbed {
  return { state, actions: [] };
}

function cause(state: Standing, now: number): string {
  return state.rung === "called" ? "it said so itself" : quiet(state, now);
}

function quiet({ progress_at }: { readonly progress_at: number }, now: number): string {
  return `no progress for ${Math.max(1, Math.round((now - progress_at) / 1000))} s`;
}
