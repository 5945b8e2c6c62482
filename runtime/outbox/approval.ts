/** What a person has to say yes to before it is done. */
import { addReview, reviewOf } from "../../db/reviews.ts";
import type { Parts } from "../kernel.ts";
import { Refusal } from "../core/refusal.ts";
import type { Outcome, ToolCall } from "./execute.ts";

/**
 * Whether a call may be made: null once a person said so. Until then an outcome that holds the call
 * back; it is performed again when the decision is there.
 * @param ask what the person is shown; made only when they have not been asked yet
 * @throws {Refusal} when the person said no
 */
export async function approval(
  { store, ids, clock }: Parts,
  { key, task_id, tree_id, call_id }: ToolCall,
  ask: () => Promise<{ issue: string; detail: string }>,
): Promise<Outcome | null> {
  const review = await reviewOf(store.read, task_id, call_id);
  if (!review) {
    const { issue, detail } = await ask();
    const asked = { id: ids.next(), tree_id, task_id, call_id, issue, detail, blocking: true };
    return { hold: true, statements: [addReview({ ...asked, effect_key: key }, clock.now())] };
  }
  switch (review.status) {
    case "open":
      return { hold: true };
    case "approved":
      return null;
    case "rejected":
    case "withdrawn": {
      const why = review.comment ? `: ${review.comment}` : "";
      throw new Refusal("approval", `A person did not allow it${why}`);
    }
  }
}
