/** `resolve`: the supervisor agent's decision about the stuck task that it was started for. */
import { isStuck } from "../../db/ladder.ts";
import { enqueue } from "../../db/envelopes.ts";
import { addReview } from "../../db/reviews.ts";
import { supervisedBy } from "../../db/tasks.ts";
import { byText, type VerbOf } from "../core/command.ts";
import { Refusal } from "../core/refusal.ts";
import { ending } from "./ending.ts";
import { taskBy, type Verb, type Work } from "./work.ts";

/** @throws {Refusal} for a task that supervises none */
export const resolve: Verb<VerbOf<"resolve">> = async (reading, { action, comment }, by) => {
  const { read, ids, clock } = reading;
  const own = taskBy(by);
  const stuck = await supervisedBy(read, own.task_id);
  if (!stuck) {
    throw new Refusal("task", "resolve_task is for a supervisor that was started for a stuck task");
  }
  const { id, tree_id, priority } = stuck;
  const now = clock.now();
  const done = { answer: {}, said: `Done: ${action}`, tree_id };
  switch (action) {
    // Both ask the model again; what the supervisor says is part of the conversation then.
    case "retry":
    case "hint": {
      const message = { type: "nudge", text: comment };
      return {
        ...done,
        unit: [
          isStuck({ address: id }),
          enqueue({ id: ids.next(), tree_id, to: id, from: byText(by), message }, now),
        ],
        concerned: (): ReturnType<Work["concerned"]> => ({
          wake: [{ address: id, tree_id, priority, urgent: false }],
        }),
      };
    }
    case "cancel": {
      const reason = `Stuck, and cancelled by the supervisor: ${comment}`;
      const end = { status: "failed", result: null, reason } as const;
      // The supervisor itself hangs below the task that it ends; it must live to end its own.
      const cut = ending(reading, stuck, end, [own.task_id]);
      return {
        ...done,
        unit: [isStuck({ address: id }), ...cut.unit],
        concerned: (rows) => cut.concerned(rows.slice(1)),
      };
    }
    case "flag": {
      const issue = `A stuck task: ${comment}`;
      const review = {
        id: ids.next(),
        tree_id,
        task_id: id,
        call_id: null,
        issue,
        blocking: false,
      };
      return { ...done, unit: [addReview(review, now)], concerned: () => ({ trees: [tree_id] }) };
    }
  }
};
