/** Puts questions before a person. */
import { addReview } from "../../db/reviews.ts";
import type { Parts } from "../kernel.ts";
import { answer, type Outcome, type ToolCall } from "../outbox/execute.ts";

/** A blocking question is answered by the person's decision, any other at once. */
export function flag({ ids, clock }: Parts, call: ToolCall): Outcome {
  const { task_id, tree_id, call_id, input } = call;
  const blocking = input.blocking === true;
  const review = {
    id: ids.next(),
    tree_id,
    task_id,
    call_id,
    issue: input.issue as string,
    blocking,
  };
  const statements = [addReview(review, clock.now())];
  if (blocking) return { statements };
  return { statements, ...answer(call_id, { content: `Flagged for review as ${review.id}` }) };
}
