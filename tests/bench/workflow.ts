/** An actor that does nothing but go on: each step sends itself the next one. */
import { type Actor, actor, next, stop } from "../../runtime/core/actor.ts";

export interface WorkflowMessage {
  type: "step";
  /** Steps that are left, this one included. */
  left: number;
  address: string;
}

const workflow: Actor<{ done: number }, WorkflowMessage> = actor<
  { done: number },
  WorkflowMessage
>({
  kind: "workflow",
  restart: "transient",
  initial: { done: 0 },

  receive({ done }, { left, address }) {
    const state = { done: done + 1 };
    if (left <= 1) return stop(state, { status: "done", result: String(state.done) });
    const message = { type: "step", left: left - 1, address };
    return next(state, { type: "send", to: address, message });
  },
});

export default workflow;
