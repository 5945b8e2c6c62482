/** `decide`: a person's decision about what an agent put before them; the task that waits goes on. */
import { enqueue } from "../../db/envelopes.ts";
import { noteEntry } from "../../db/entries.ts";
import { releaseEffect } from "../../db/outbox.ts";
import { decideReview, findReview } from "../../db/reviews.ts";
import { touchTask } from "../../db/tasks.ts";
import { byText, type VerbOf } from "../core/command.ts";
import { NotThere } from "../core/refusal.ts";
import { answer } from "./outcome.ts";
import type { Verb } from "./work.ts";

/** @throws {NotThere} when there is no such review */
export const decide: Verb<VerbOf<"decide">, { tree_id: string }> = async (
  { read, clock, ids },
  { review_id, decision, comment },
  by,
) => {
  const review = await findReview(read, review_id);
  if (!review) throw new NotThere("review", review_id);
  const now = clock.now();
  const { task_id, tree_id, call_id, effect_key, priority } = review;
  const unit = [
    decideReview({ id: review_id, status: decision, comment, now }),
    touchTask({ id: task_id }),
  ];
  if (effect_key) {
    unit.push(
      releaseEffect({ key: effect_key }),
      noteEntry({
        id: ids.next(),
        task_id,
        tree_id,
        type: "review.decided",
        message_json: JSON.stringify({ type: "review.decided", review_id, decision, comment }),
        by: byText(by),
        now,
      }),
    );
  } else if (review.blocking && call_id) {
    const message = answer(call_id, { content: JSON.stringify({ decision, comment }) });
    const envelope = { id: ids.next(), tree_id, to: task_id, from: byText(by), message };
    unit.push(enqueue(envelope, now));
  }
  return {
    unit,
    concerned: () => ({
      trees: [tree_id],
      wake: [{ address: task_id, tree_id, priority, urgent: false }],
    }),
    answer: { tree_id },
    tree_id,
  };
};
