/**
 * What an actor is: a name, a first state and one pure function from (state, message) to what comes
 * next. Runs inside a Web Worker without permissions, so it imports nothing but types.
 */
import type { Effect, Ending } from "./protocol.ts";

/** One kind of actor. `receive` is synchronous and pure: it never awaits, reads a clock or draws. */
export interface Actor<State, Received extends { readonly type: string }> {
  readonly kind: string;
  /** `permanent` comes back always, `transient` after a crash, `temporary` never. */
  readonly restart: "permanent" | "transient" | "temporary";
  readonly initial: State;
  receive(state: State, message: Received): Next<State>;
}

/** The outcome of one step. `ending` stops the actor for good. */
export interface Next<State = unknown> {
  readonly state: State;
  readonly effects: readonly Effect[];
  readonly ending?: Ending;
}

/** What an actor answered to one envelope, as its worker posts it: the state as JSON, the way it is stored. */
export interface Step extends Next<string> {
  readonly envelope: string;
}

/** Declares an actor; importing one does nothing. */
export function actor<State, Received extends { readonly type: string }>(
  definition: Actor<State, Received>,
): Actor<State, Received> {
  return definition;
}

/** Goes on with this state and asks for these effects. */
export function next<State>(state: State, ...effects: Effect[]): Next<State> {
  return { state, effects };
}

/** Ends the actor; its parent, if any, learns of it in the same transaction. */
export function stop<State>(state: State, ending: Ending, ...effects: Effect[]): Next<State> {
  return { state, effects, ending };
}

/** Runs a journal through an actor again; the state that it ends in. Effects are not repeated. */
export function replay<State, Received extends { readonly type: string }>(
  definition: Actor<State, Received>,
  messages: Iterable<Received>,
): State {
  let state = definition.initial;
  for (const message of messages) state = definition.receive(state, message).state;
  return state;
}
