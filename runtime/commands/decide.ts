/** What a person decides about what agents put before them: reviews, and tools that agents wrote. */
import { enqueue } from "../../db/envelopes.ts";
import { releaseEffect } from "../../db/outbox.ts";
import { decideReview, findReview } from "../../db/reviews.ts";
import { touchTask } from "../../db/tasks.ts";
import { deleteTool, setToolDisabled } from "../../db/tools.ts";
import type { UnitResult } from "../../db/unit.ts";
import type { Kernel } from "../kernel.ts";

export interface Decision {
  readonly decision: "approved" | "rejected";
  readonly comment: string;
}

/** Decides about a review, and the task that waits for it goes on; null when there is no such review. */
export async function decide(
  kernel: Kernel,
  id: string,
  { decision, comment }: Decision,
): Promise<{ tree_id: string; result: UnitResult } | null> {
  const review = await findReview(kernel.store.read, id);
  if (!review) return null;
  const now = kernel.clock.now();
  const { task_id, tree_id, call_id, priority } = review;
  const unit = [
    decideReview({ id: review.id, status: decision, comment, now }),
    touchTask({ id: task_id }),
  ];
  if (review.effect_key) unit.push(releaseEffect({ key: review.effect_key }));
  else if (review.blocking && call_id) {
    const content = JSON.stringify({ decision, comment });
    const message = { type: "tool.replied", call_id, content };
    unit.push(
      enqueue({ id: kernel.ids.next(), tree_id, to: task_id, from: "person", message }, now),
    );
  }
  const result = await kernel.command(unit, { address: task_id, tree_id, priority });
  return { tree_id, result };
}

/** Disables or enables every version of a tool that an agent wrote. */
export function disableTool(kernel: Kernel, name: string, disabled: boolean): Promise<UnitResult> {
  return kernel.store.commit([setToolDisabled(name, disabled)]);
}

/** Deletes every version of a tool that an agent wrote. */
export function removeTool(kernel: Kernel, name: string): Promise<UnitResult> {
  return kernel.store.commit(deleteTool(name));
}
