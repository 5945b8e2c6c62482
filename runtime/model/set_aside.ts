/** Sets aside what a call may cost at the most, before it is made; or says that the budget has no room. */
import { accountOf } from "../../db/reservations.ts";
import { reserveFor } from "../commands/account.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import { BUDGET_LOOK_MS } from "../core/limits.ts";
import { type Grant, grant, leftOf, NANO, type Price, type Want } from "../core/model/budget.ts";
import type { LastingFailure } from "../core/model/messages.ts";
import type { Budget } from "../core/protocol.ts";
import { type Clock, type Ids, pause } from "../ports.ts";

interface SettingAside extends Committing {
  readonly clock: Clock;
  readonly ids: Ids;
}

/** Out of which budget, for a call of which model. */
interface Wanted extends Want {
  readonly key: string;
  readonly tree_id: string;
  readonly budget: Budget;
  readonly model: string;
  readonly price: Price | null;
}

/**
 * While other calls of the tree hold what it would need, it waits for them, until the deadline at the most;
 * when even then nothing would be left, the call is not made.
 * @throws {Error} when the store died; and the signal's reason
 */
export async function setAside(
  ports: SettingAside,
  wanted: Wanted,
  deadline: number,
  signal: AbortSignal,
  onWait: (why: string) => void,
): Promise<Grant | LastingFailure> {
  const { store, clock, ids } = ports;
  const { key, tree_id, budget, model, price } = wanted;
  let waiting = false;
  for (;;) {
    const { used, reserved, unpriced_calls } = await accountOf(store.read, tree_id, key);
    if (budget.cost_usd !== undefined && (price === null || unpriced_calls > 0)) {
      return refused(
        `it is in dollars, and the price of ${model} is unknown (seeds/models.yaml has the prices)`,
      );
    }
    if (!grant(wanted, leftOf(budget, used), price)) return refused(shortage(budget, used, wanted));
    const both = {
      tokens: used.tokens + reserved.tokens,
      cost_nano: used.cost_nano + reserved.cost_nano,
    };
    const granted = grant(wanted, leftOf(budget, both), price);
    if (granted) {
      const most = leftOf(budget, { tokens: 0, cost_nano: 0 });
      const unit = reserveFor(wanted, granted, most, ids.next(), clock.now());
      const result = await commitAndTell(ports, unit, () => ({}));
      if (result.ok) return granted;
      if (!result.refused) throw new Error(result.reason);
    } else if (clock.now() > deadline) {
      return refused("the tree's other calls hold what is left of it");
    } else {
      if (!waiting) onWait("The tree's other calls hold what is left of its budget");
      waiting = true;
      await pause(clock, BUDGET_LOOK_MS, signal);
    }
  }
}

function refused(why: string): LastingFailure {
  return { failed: `The tree's budget is used up: ${why}`, concerns: "task" };
}

function shortage(
  budget: Budget,
  used: { tokens: number; cost_nano: number },
  { input_tokens }: Want,
): string {
  const parts = [];
  if (budget.tokens !== undefined) parts.push(`${used.tokens} of ${budget.tokens} tokens`);
  if (budget.cost_usd !== undefined) {
    parts.push(`$${(used.cost_nano / NANO).toFixed(4)} of $${budget.cost_usd}`);
  }
  return `${parts.join(" and ")} are gone, and the next prompt may have ${input_tokens} tokens`;
}
