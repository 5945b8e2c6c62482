/** Turns due timers into envelopes. */
import { enqueue } from "../../db/envelopes.ts";
import { dueTimers, fireTimer } from "../../db/timers.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import type { Message } from "../core/protocol.ts";
import type { Clock, Ids } from "../ports.ts";

/** One that was not fired just now is found again by the next look. */
export async function fireTimers(
  { clock, ids, ...committing }: Committing & { readonly clock: Clock; readonly ids: Ids },
): Promise<void> {
  const now = clock.now();
  for (const timer of await dueTimers(committing.store.read, now)) {
    const { address, name, tree_id, message_json, priority } = timer;
    const message: Message = JSON.parse(message_json);
    const unit = [
      fireTimer(address, name, now),
      enqueue({ id: ids.next(), tree_id, to: address, from: "timer", message }, now),
    ];
    const wake = [{ address, tree_id, priority, urgent: false }];
    await commitAndTell(committing, unit, () => ({ wake }));
  }
}
