/** `flag_for_review`: puts something before a person; with `blocking` the decision is the result. */
import type { Outcome, ToolCall, ToolPerformer } from "../commands/outcome.ts";
import { nameBy } from "../core/toolkit/mod.ts";

export const review: ToolPerformer = {
  perform(call) {
    switch (nameBy("review", call.tool)) {
      case "flag_for_review":
        return Promise.resolve(flag(call));
    }
  },
};

function flag({ key, call_id, input }: ToolCall): Outcome {
  // As the toolkit's schema has checked them.
  const { issue, blocking = false } = input as { issue: string; blocking?: boolean };
  const question = { verb: "ask", issue, blocking, call_id, effect_key: key } as const;
  return { type: "commanded", command: { ...question, holds_effect: false } };
}
