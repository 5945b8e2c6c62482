/** `ask`: puts a question before a person, with an effect that waits for the answer or without one. */
import { addReview } from "../../db/reviews.ts";
import type { VerbOf } from "../core/command.ts";
import { taskBy, type Verb } from "./work.ts";

export const ask: Verb<VerbOf<"ask">, { review_id: string }> = ({ clock, ids }, asked, by) => {
  const { task_id, tree_id } = taskBy(by);
  const { issue, detail, blocking, call_id, effect_key, holds_effect } = asked;
  const id = ids.next();
  const review = {
    id,
    tree_id,
    task_id,
    call_id,
    issue,
    blocking,
    asked_by_key: effect_key,
    ...detail === undefined ? {} : { detail },
    ...holds_effect ? { effect_key } : {},
  };
  return Promise.resolve({
    unit: [addReview(review, clock.now())],
    concerned: () => ({ trees: [tree_id] }),
    answer: { review_id: id },
    // A blocking question is answered by the person.
    ...blocking ? {} : { said: `Flagged for review as ${id}` },
    tree_id,
  });
};
