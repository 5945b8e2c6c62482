/**
 * The life of one actor in memory, from being called to being let go of. At most one commit of it is
 * under way at a time, and each has a state of its own; the scheduler carries the actions out and tells
 * what came of them.
 */
import type { Next } from "./actor.ts";
import { afterFailure, type Claim, commitBackOff, type Delivered, type Fault } from "./delivery.ts";
import type { Effect, OpenEffect } from "./protocol.ts";
import type { Runnable } from "./schedule.ts";

/** What is known of an actor that is claimed. */
export interface Held {
  readonly runnable: Runnable;
  readonly claim: Claim;
  readonly kind: string;
  /** The state that was last committed, as JSON. */
  readonly state_json: string | null;
  /** It was there when a cell failed: it is tried again in a cell of its own. */
  readonly suspect: boolean;
  /** Effects under way: until they are over nobody else may take it for one that was forgotten. */
  readonly performing: number;
  /** It was called meanwhile: its mailbox is looked at once more before it is let go of. */
  readonly called: boolean;
}

/** `failures`: how often the outcome of its commit stayed unknown; it is tried until it is known. */
export type Activation =
  | { readonly at: "released" }
  /** In the schedule, for a slot. */
  | { readonly at: "waiting"; readonly runnable: Runnable }
  | {
    readonly at: "claiming";
    readonly runnable: Runnable;
    readonly called: boolean;
    readonly failures: number;
  }
  /** Between envelopes, while effects are performed. */
  | { readonly at: "idle"; readonly held: Held }
  | { readonly at: "taking"; readonly held: Held; readonly failures: number }
  | { readonly at: "running"; readonly held: Held; readonly delivered: Delivered }
  /** Its answer is being committed: whatever becomes of the worker now changes nothing about that. */
  | {
    readonly at: "settling";
    readonly held: Held;
    readonly delivered: Delivered;
    readonly step: Next<string>;
    readonly failures: number;
  }
  | {
    readonly at: "retrying";
    readonly held: Held;
    readonly back: PutBack;
    readonly failures: number;
  }
  /** Its envelope is back in the mailbox, for when its time has come. */
  | { readonly at: "resting"; readonly held: Held }
  | {
    readonly at: "burying";
    readonly held: Held;
    readonly delivered: Delivered;
    readonly reason: string;
    readonly failures: number;
  }
  | {
    readonly at: "passivating";
    readonly runnable: Runnable;
    readonly claim: Claim;
    /** Who called meanwhile. */
    readonly caller: Runnable | null;
    readonly failures: number;
  };

type Running = Extract<Activation, { at: "running" }>;
type Settling = Extract<Activation, { at: "settling" }>;
type Retrying = Extract<Activation, { at: "retrying" }>;
type Passivating = Extract<Activation, { at: "passivating" }>;

/** An envelope as it goes back into the mailbox. */
export interface PutBack {
  readonly id: string;
  readonly due_at: number;
  readonly attempts: number;
}

export type Event =
  | { readonly type: "woken"; readonly runnable: Runnable }
  /** The schedule picked it. */
  | { readonly type: "picked" }
  | {
    readonly type: "claimed";
    readonly claim: Claim;
    readonly kind: string;
    readonly state_json: string | null;
    readonly effects: readonly OpenEffect[];
    readonly delivered: Delivered | null;
  }
  /** `due`: effects that a person has let go of meanwhile. */
  | {
    readonly type: "taken";
    readonly due: readonly OpenEffect[];
    readonly delivered: Delivered | null;
  }
  | { readonly type: "stepped"; readonly step: Next<string> }
  | {
    readonly type: "settled";
    readonly due: readonly OpenEffect[];
    readonly delivered: Delivered | null;
  }
  | { readonly type: "put_back"; readonly now: number }
  | { readonly type: "buried" }
  /** `due`: something is in its mailbox that could be taken now. */
  | { readonly type: "passivated"; readonly due: boolean }
  /** Nothing of the commit under way took effect. `lost`: because the claim no longer holds. */
  | {
    readonly type: "refused";
    readonly reason: string;
    readonly lost: boolean;
    readonly now: number;
  }
  /** Nobody knows whether the commit under way took effect. */
  | { readonly type: "unknown"; readonly reason: string }
  | {
    readonly type: "worker_failed";
    readonly reason: string;
    readonly fault: Fault;
    readonly now: number;
  }
  /** An effect that was begun under this epoch is over. */
  | { readonly type: "effect_done"; readonly epoch: number }
  /** The pause that was asked for is over. */
  | { readonly type: "tick" }
  /** It was ended by somebody else: its claim is void already. */
  | { readonly type: "dropped" }
  /** The scheduler stops. */
  | { readonly type: "stopped" };

export type Action =
  /** Into the schedule, and out of it. */
  | { readonly do: "join"; readonly runnable: Runnable }
  | { readonly do: "quit" }
  | { readonly do: "leave_slot" }
  /** The commits. */
  | { readonly do: "claim"; readonly runnable: Runnable }
  | { readonly do: "take"; readonly held: Held }
  | {
    readonly do: "settle";
    readonly held: Held;
    readonly delivered: Delivered;
    readonly step: Next<string>;
  }
  | { readonly do: "put_back"; readonly held: Held; readonly back: PutBack }
  | {
    readonly do: "bury";
    readonly held: Held;
    readonly delivered: Delivered;
    readonly reason: string;
  }
  | { readonly do: "passivate"; readonly claim: Claim }
  /** To its worker, which is started if there is none. */
  | { readonly do: "deliver"; readonly held: Held; readonly delivered: Delivered }
  | { readonly do: "stop_worker" }
  | { readonly do: "perform"; readonly held: Held; readonly effects: readonly OpenEffect[] }
  /** Gives up the effects under way. */
  | { readonly do: "abort" }
  /** It says that it is stuck. */
  | { readonly do: "call_for_help" }
  | { readonly do: "again_after"; readonly ms: number }
  | { readonly do: "log"; readonly line: string };

export interface Transition {
  readonly state: Activation;
  readonly actions: readonly Action[];
}

export const RELEASED: Activation = { at: "released" };

/** Decides what an event means for an actor. One that its state does not wait for changes nothing. */
export function transition(state: Activation, event: Event): Transition {
  switch (event.type) {
    case "woken":
      return onWoken(state, event.runnable);
    case "picked":
      return state.at === "waiting" ? claiming(state.runnable) : keep(state);
    case "claimed":
      return state.at === "claiming" ? onClaimed(state, event) : keep(state);
    case "taken":
      return state.at === "taking" ? onTaken(state.held, event) : keep(state);
    case "stepped":
      return state.at === "running" ? settling(state, event.step) : keep(state);
    case "settled":
      return state.at === "settling" ? onSettled(state, event) : keep(state);
    case "put_back":
      return state.at === "retrying" ? resting(state, event.now) : keep(state);
    case "buried":
      return state.at === "burying" ? leaving(state.held.runnable) : keep(state);
    case "passivated":
      return state.at === "passivating" ? onPassivated(state, event.due) : keep(state);
    case "refused":
      return onRefused(state, event);
    case "unknown":
      return onUnknown(state, event.reason);
    case "worker_failed":
      // An idle worker is missed by nobody, and an answer that is being settled stands for itself: the
      // next envelope gets a new worker with the committed state.
      return state.at === "running" ? failing(state.held, state.delivered, event) : keep(state);
    case "effect_done":
      return onEffectDone(state, event.epoch);
    case "tick":
      return onTick(state);
    case "dropped":
      return onDropped(state);
    case "stopped":
      return onStopped(state);
  }
}

// What begins a state.

function keep(state: Activation): Transition {
  return { state, actions: [] };
}

/** Into the schedule, or straight to a claim: every claim goes through here. */
function beginning(runnable: Runnable): Transition {
  if (runnable.urgent) return claiming(runnable);
  return { state: { at: "waiting", runnable }, actions: [{ do: "join", runnable }] };
}

function claiming({ unbegun_since: _, ...runnable }: Runnable): Transition {
  const state = { at: "claiming", runnable, called: false, failures: 0 } as const;
  return { state, actions: [{ do: "claim", runnable }] };
}

function taking(held: Held): Transition {
  const looking = { ...held, called: false };
  const state = { at: "taking", held: looking, failures: 0 } as const;
  return { state, actions: [{ do: "take", held: looking }] };
}

function settling({ held, delivered }: Running, step: Next<string>): Transition {
  const state = { at: "settling", held, delivered, step, failures: 0 } as const;
  return { state, actions: [{ do: "settle", held, delivered, step }] };
}

function resting({ held, back }: Retrying, now: number): Transition {
  const actions = [{ do: "again_after", ms: Math.max(0, back.due_at - now) }] as const;
  return { state: { at: "resting", held }, actions };
}

/** Waiting costs nothing: the worker goes, the claim is given back, the next envelope wakes it. */
function passivating({ runnable, claim }: Held): Transition {
  const state = { at: "passivating", runnable, claim, caller: null, failures: 0 } as const;
  return { state, actions: [...offItsSlot(runnable), { do: "passivate", claim }] };
}

/** Nothing is owed any more: it has ended, or somebody else holds it. */
function leaving(runnable: Runnable): Transition {
  return { state: RELEASED, actions: [...offItsSlot(runnable), { do: "abort" }] };
}

function offItsSlot({ urgent }: Runnable): Action[] {
  return urgent ? [{ do: "stop_worker" }] : [{ do: "stop_worker" }, { do: "leave_slot" }];
}

/** Hands an envelope over, or lets go of an actor that has none and waits for nothing here. */
function goOn(held: Held, delivered: Delivered | null): Transition {
  if (delivered) {
    const state = { at: "running", held, delivered } as const;
    return { state, actions: [{ do: "deliver", held, delivered }] };
  }
  if (held.called) return taking(held);
  return held.performing > 0 ? keep({ at: "idle", held }) : passivating(held);
}

/** A worker failed with an envelope in hand: it is tried again, or buried and the task fails. */
function failing(
  held: Held,
  delivered: Delivered,
  { reason, fault, now }: { reason: string; fault: Fault; now: number },
): Transition {
  const { id, type, attempts } = delivered;
  const fate = afterFailure(attempts, now);
  const guilty = fault === "own";
  const actions: Action[] = [
    { do: "stop_worker" },
    { do: "log", line: `${held.kind} ${held.claim.address} failed at ${type}: ${reason}` },
  ];
  if (guilty && fate.verdict === "bury") {
    const burial = { held, delivered, reason: `Failed ${attempts} times at ${type}: ${reason}` };
    return {
      state: { at: "burying", ...burial, failures: 0 },
      actions: [...actions, { do: "bury", ...burial }],
    };
  }
  const back: PutBack = {
    id,
    due_at: guilty && fate.verdict === "retry" ? fate.due_at : now,
    attempts: guilty ? attempts : attempts - 1,
  };
  const suspected = { ...held, suspect: held.suspect || fault === "unclear" };
  return {
    state: { at: "retrying", held: suspected, back, failures: 0 },
    actions: [...actions, { do: "put_back", held: suspected, back }],
  };
}

// What an event means.

function onWoken(state: Activation, runnable: Runnable): Transition {
  switch (state.at) {
    case "released":
      return beginning(runnable);
    case "waiting": {
      if (!runnable.urgent) return keep(state);
      const { state: next, actions } = claiming(runnable);
      return { state: next, actions: [{ do: "quit" }, ...actions] };
    }
    case "claiming":
      return keep({ ...state, called: true });
    case "idle":
    case "resting":
      return taking(state.held);
    case "passivating":
      return keep({ ...state, caller: state.caller?.urgent ? state.caller : runnable });
    case "taking":
    case "running":
    case "settling":
    case "retrying":
    case "burying":
      return keep({ ...state, held: { ...state.held, called: true } });
  }
}

function onClaimed(
  { runnable, called }: Extract<Activation, { at: "claiming" }>,
  { claim, kind, state_json, effects, delivered }: Extract<Event, { type: "claimed" }>,
): Transition {
  const performing = effects.length;
  const held = { runnable, claim, kind, state_json, suspect: false, performing, called };
  const { state, actions } = goOn(held, delivered);
  // What an earlier claim left under way would be performed beside itself.
  return { state, actions: [{ do: "abort" }, { do: "perform", held, effects }, ...actions] };
}

function onTaken(held: Held, { due, delivered }: Extract<Event, { type: "taken" }>): Transition {
  if (due.length === 0) return goOn(held, delivered);
  const further = { ...held, performing: held.performing + due.length };
  const { state, actions } = goOn(further, delivered);
  return { state, actions: [{ do: "perform", held: further, effects: due }, ...actions] };
}

function onSettled(
  { held, step }: Settling,
  { due, delivered }: Extract<Event, { type: "settled" }>,
): Transition {
  if (step.ending) return leaving(held.runnable);
  const asked = (type: Effect["type"]) => step.effects.some((effect) => effect.type === type);
  const performing = held.performing + due.length;
  const further = { ...held, state_json: step.state, suspect: false, performing };
  const { state, actions } = goOn(further, delivered);
  const before: Action[] = [];
  if (asked("drop_effects")) before.push({ do: "abort" });
  if (asked("stuck")) before.push({ do: "call_for_help" });
  before.push({ do: "perform", held: further, effects: due });
  return { state, actions: [...before, ...actions] };
}

function onPassivated({ runnable, caller }: Passivating, due: boolean): Transition {
  if (!caller && !due) return keep(RELEASED);
  return beginning({ ...runnable, urgent: runnable.urgent || caller?.urgent === true });
}

function onRefused(
  state: Activation,
  { reason, lost, now }: Extract<Event, { type: "refused" }>,
): Transition {
  switch (state.at) {
    case "claiming":
    case "taking":
    case "retrying":
      return leaving(runnableOf(state));
    case "passivating":
      return state.caller ? onPassivated(state, true) : keep(RELEASED);
    case "burying":
      return lost ? leaving(state.held.runnable) : passivating(state.held);
    case "settling": {
      if (!lost) {
        const why = `its step could not be settled (${reason})`;
        return failing(state.held, state.delivered, { reason: why, fault: "own", now });
      }
      if (state.failures === 0) return leaving(state.held.runnable);
      // An attempt whose outcome was unknown may have settled it: claiming anew reads what is true.
      const { state: next, actions } = claiming(state.held.runnable);
      return { state: next, actions: [{ do: "stop_worker" }, ...actions] };
    }
    case "released":
    case "waiting":
    case "idle":
    case "running":
    case "resting":
      return keep(state);
  }
}

/** What a commit does, as it is said when nobody knows whether it did. */
const COMMITS = {
  claiming: "claim",
  taking: "read the mailbox of",
  settling: "settle the step of",
  retrying: "put back the envelope of",
  burying: "bury the envelope of",
  passivating: "passivate",
} as const;

/** It is tried until it is known, with a longest pause between; a person is told of the first time. */
function onUnknown(state: Activation, reason: string): Transition {
  if (!("failures" in state)) return keep(state);
  const failures = state.failures + 1;
  const again: Action = { do: "again_after", ms: commitBackOff(failures) };
  const line = `Cannot ${COMMITS[state.at]} ${runnableOf(state).address}: ${reason}`;
  return {
    state: { ...state, failures },
    actions: failures === 1 ? [{ do: "log", line }, again] : [again],
  };
}

function onEffectDone(state: Activation, epoch: number): Transition {
  if (!("held" in state) || state.held.claim.epoch !== epoch) return keep(state);
  const held = { ...state.held, performing: state.held.performing - 1, called: true };
  return state.at === "idle" || state.at === "resting" ? taking(held) : keep({ ...state, held });
}

function onTick(state: Activation): Transition {
  switch (state.at) {
    case "claiming":
      return { state, actions: [{ do: "claim", runnable: state.runnable }] };
    case "taking":
      return { state, actions: [{ do: "take", held: state.held }] };
    case "settling": {
      const { held, delivered, step } = state;
      return { state, actions: [{ do: "settle", held, delivered, step }] };
    }
    case "retrying":
      return { state, actions: [{ do: "put_back", held: state.held, back: state.back }] };
    case "burying": {
      const { held, delivered, reason } = state;
      return { state, actions: [{ do: "bury", held, delivered, reason }] };
    }
    case "passivating":
      return { state, actions: [{ do: "passivate", claim: state.claim }] };
    case "resting":
      return taking(state.held);
    case "released":
    case "waiting":
    case "idle":
    case "running":
      return keep(state);
  }
}

function onDropped(state: Activation): Transition {
  switch (state.at) {
    case "released":
    case "passivating":
      return { state: RELEASED, actions: [{ do: "abort" }] };
    case "waiting":
      return { state: RELEASED, actions: [{ do: "quit" }, { do: "abort" }] };
    case "claiming":
    case "idle":
    case "taking":
    case "running":
    case "settling":
    case "retrying":
    case "resting":
    case "burying":
      return leaving(runnableOf(state));
  }
}

/** What rests is let go of; a commit under way comes back first. */
function onStopped(state: Activation): Transition {
  switch (state.at) {
    case "waiting":
      return { state: RELEASED, actions: [{ do: "quit" }] };
    case "idle":
    case "running":
    case "resting": {
      const { state: next, actions } = passivating(state.held);
      return { state: next, actions: [{ do: "abort" }, ...actions] };
    }
    case "released":
    case "claiming":
    case "taking":
    case "settling":
    case "retrying":
    case "burying":
    case "passivating":
      return keep(state);
  }
}

function runnableOf(state: Extract<Activation, { runnable: Runnable } | { held: Held }>): Runnable {
  return "held" in state ? state.held.runnable : state.runnable;
}
