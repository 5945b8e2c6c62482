/** Wakes who has something to do that no event announced: a retry that is due, what a dead node held. */
import type { Store } from "../../db/store.ts";
import { runnableActors } from "../../db/views/watch.ts";
import type { Clock, Loop } from "../ports.ts";

export async function lookForLostWork(
  { store, clock, loop }: { readonly store: Store; readonly clock: Clock; readonly loop: Loop },
): Promise<void> {
  for (const { purpose, ...runnable } of await runnableActors(store.read, clock.now())) {
    loop.wake({ ...runnable, urgent: purpose === "supervision" });
  }
}
