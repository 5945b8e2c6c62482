/** Throws at every message. */
import { actor } from "../../../runtime/core/actor.ts";

export default actor<null, { type: string }>({
  kind: "crasher",
  restart: "transient",
  initial: null,
  receive() {
    throw new Error("this actor always throws");
  },
});
