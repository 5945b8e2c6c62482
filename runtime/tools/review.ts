/** `flag_for_review`: puts something before a person; with `blocking` the decision is the result. */
import type { ToolPerformer } from "../commands/outcome.ts";

export const review: ToolPerformer = {
  perform: ({ key, call_id, input }) => {
    // As the toolkit's schema has checked them.
    const { issue, blocking = false } = input as { issue: string; blocking?: boolean };
    const question = { verb: "ask", issue, blocking, call_id, effect_key: key } as const;
    return Promise.resolve({ type: "commanded", command: { ...question, holds_effect: false } });
  },
};
