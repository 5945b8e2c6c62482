/** What is known about each model, by the names that providers give them. */
import type { ModelFacts } from "./budget.ts";
import { CONTEXT_TOKENS_UNKNOWN, MODEL_OUTPUT_TOKENS_MAX } from "../limits.ts";

export type ModelTable = ReadonlyMap<string, ModelFacts>;

/** The facts of a model; one that nobody knows has a guessed window, no price and no tools of its own. */
export function factsOf(table: ModelTable, name: string): ModelFacts {
  return table.get(name) ?? table.get(name.replace(/-\d{8}$/, "")) ?? {
    context_tokens: CONTEXT_TOKENS_UNKNOWN,
    output_tokens: MODEL_OUTPUT_TOKENS_MAX,
    web: false,
    price: null,
  };
}

/** The offline model: no window, no price. */
export const OFFLINE_FACTS: ModelFacts = {
  context_tokens: Infinity,
  output_tokens: MODEL_OUTPUT_TOKENS_MAX,
  web: false,
  price: { input: 0, cache_write: 0, cache_read: 0, output: 0, web_search: 0 },
};
