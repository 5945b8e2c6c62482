/**
 * Hosts one actor inside an agent Web Worker: takes one message at a time, with the actor's state
 * before the first, and posts what comes next. The worker has no permissions; it can only answer.
 * Messages and answers are JSON texts, which the cell between passes on unread.
 */
import type { Actor, Step } from "../core/actor.ts";
import type { Message } from "../core/protocol.ts";
import { Inbox } from "./inbox.ts";

/** One message for an actor. */
export interface Delivery {
  readonly envelope: string;
  readonly message: Message;
  /** Where the actor stands, before the worker's first message; null for a new actor. */
  readonly state: unknown;
}

declare const self: {
  onmessage: (event: MessageEvent<SharedArrayBuffer>) => void;
  /** A text is an answer; null says that the worker is there. */
  postMessage(answer: string | null): void;
};

/** Waits for its inbox and then works through it. Called by the worker's entry, which the cell composes. */
export function host<State>(actor: Actor<State, Message>): void {
  self.onmessage = ({ data: memory }) => {
    let state = actor.initial;
    for (const body of new Inbox(memory).messages()) {
      if (body === null) {
        self.postMessage(null);
        continue;
      }
      const delivery: Delivery = JSON.parse(body);
      // What is handed over is what this very kind of actor answered before.
      if (delivery.state !== null) state = delivery.state as State;
      const { effects, ending, ...next } = actor.receive(state, delivery.message);
      state = next.state;
      const step: Step = {
        envelope: delivery.envelope,
        state: JSON.stringify(state),
        effects,
        ending,
      };
      self.postMessage(JSON.stringify(step));
    }
  };
}
