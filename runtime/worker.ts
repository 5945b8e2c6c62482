/**
 * Hosts one actor inside an agent Web Worker: takes its state, hands it one message at a time and
 * posts what comes next. The worker has no permissions; it can only answer.
 */
import type { Actor } from "./core/actor.ts";
import type { Message } from "./core/protocol.ts";

export type ToWorker =
  | { type: "start"; state: string | null }
  | { type: "deliver"; envelope: string; message: Message }
  | { type: "ping" };

declare const self: {
  onmessage: (event: MessageEvent<ToWorker>) => void;
  postMessage(message: unknown): void;
};

/** Starts to listen. Called by the worker's entry, which the cell composes. */
export function host<State>(actor: Actor<State, { type: string }>): void {
  let state = actor.initial;
  self.onmessage = ({ data }) => {
    switch (data.type) {
      case "start":
        if (data.state !== null) state = JSON.parse(data.state);
        return;
      case "deliver": {
        const next = actor.receive(state, data.message);
        state = next.state;
        self.postMessage({
          type: "next",
          envelope: data.envelope,
          state: JSON.stringify(state),
          effects: next.effects,
          ending: next.ending,
        });
        return;
      }
      case "ping":
        self.postMessage({ type: "pong" });
    }
  };
  self.postMessage({ type: "pong" });
}
