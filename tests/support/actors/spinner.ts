/** Never answers: spins for ever. */
import { actor, next } from "../../../runtime/core/actor.ts";

export default actor<null, { type: string }>({
  kind: "spinner",
  restart: "transient",
  initial: null,
  receive(state) {
    for (;;) if (Math.random() > 1) return next(state);
  },
});
