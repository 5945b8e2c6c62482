/** What a person has to say yes to before it is done. */
import { reviewOf } from "../../db/reviews.ts";
import type { Db } from "../../db/schema.ts";
import type { Outcome, ToolCall } from "../commands/outcome.ts";
import { Refusal } from "../core/refusal.ts";

/**
 * Whether a call may be made: null once a person said so. Until then it is held; it is performed again
 * when the decision is there.
 * @param ask what the person is shown; made only when they have not been asked yet
 * @throws {Refusal} when the person said no
 */
export async function approval(
  read: Db,
  { key, call_id }: ToolCall,
  ask: () => Promise<{ issue: string; detail: string }>,
): Promise<Outcome | null> {
  const review = await reviewOf(read, key);
  if (!review) {
    const { issue, detail } = await ask();
    const question = { verb: "ask", issue, detail, blocking: true, call_id } as const;
    return { type: "held", question: { ...question, effect_key: key, holds_effect: true } };
  }
  switch (review.status) {
    case "open":
      return { type: "held", question: null };
    case "approved":
      return null;
    case "rejected":
    case "withdrawn": {
      const why = review.comment ? `: ${review.comment}` : "";
      throw new Refusal("approval", `A person did not allow it${why}`);
    }
  }
}
