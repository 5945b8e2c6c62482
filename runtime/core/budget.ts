/**
 * What model calls cost, and how much of a tree's budget the next one may use. Money is counted in
 * billionths of a dollar, so that the price of one token is a whole number.
 */
import {
  MODEL_OUTPUT_TOKENS_LEAST,
  WEB_FETCH_TOKENS_MAX,
  WEB_SEARCH_TOKENS_MAX,
  WEB_USES_MAX,
} from "./limits.ts";
import type { Usage } from "./model.ts";
import type { Budget } from "./protocol.ts";

export const NANO = 1_000_000_000;

/** Prices in billionths of a dollar: a token of each kind, and one search of the web. */
export interface Price {
  readonly input: number;
  readonly cache_write: number;
  readonly cache_read: number;
  readonly output: number;
  readonly web_search: number;
  /** From so many tokens of prompt on another price counts, for the whole call. */
  readonly above?: { readonly input_tokens: number; readonly price: Price };
}

/** What is known about a model. */
export interface ModelFacts {
  /** Tokens of prompt and reply together. */
  readonly context_tokens: number;
  /** Longest reply in tokens. */
  readonly output_tokens: number;
  /** Null when nobody has told. */
  readonly price: Price | null;
}

/** What is asked for: a call with a prompt of at most so many tokens, and a reply of at most so many. */
export interface Want {
  readonly input_tokens: number;
  readonly output_tokens: number;
  /** Whether it may use the web. */
  readonly web: boolean;
}

/** What is set aside for a call. */
export interface Grant {
  readonly max_tokens: number;
  readonly tokens: number;
  readonly cost_nano: number;
}

/** What is left of a budget; null is no bound. */
export interface Left {
  readonly tokens: number | null;
  readonly cost_nano: number | null;
}

/** What a call cost; null when its price is unknown. */
export function costOf(usage: Usage, price: Price | null): number | null {
  if (!price) return null;
  const { input, cache_write, cache_read, output, web_search } = band(price, usage.input_tokens);
  const fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens;
  return fresh * input + usage.cache_write_tokens * cache_write +
    usage.cache_read_tokens * cache_read + usage.output_tokens * output +
    usage.web_searches * web_search;
}

/** The worst case of a call, its reply as long as what is left allows; null when nothing fits. */
export function grant(want: Want, left: Left, price: Price | null): Grant | null {
  const input = want.input_tokens + (want.web ? WEB_TOKENS : 0);
  const byTokens = left.tokens === null ? Infinity : left.tokens - input;
  const worst = price && band(price, input);
  const fixed = worst
    ? input * Math.max(worst.input, worst.cache_write, worst.cache_read) +
      (want.web ? WEB_USES_MAX * worst.web_search : 0)
    : 0;
  const byCost = left.cost_nano === null
    ? Infinity
    : !worst
    ? -1
    : worst.output === 0
    ? left.cost_nano >= fixed ? Infinity : -1
    : Math.floor((left.cost_nano - fixed) / worst.output);
  const max_tokens = Math.min(want.output_tokens, byTokens, byCost);
  if (max_tokens < Math.min(MODEL_OUTPUT_TOKENS_LEAST, want.output_tokens)) return null;
  return {
    max_tokens,
    tokens: input + max_tokens,
    cost_nano: worst ? fixed + max_tokens * worst.output : 0,
  };
}

/** Whether a budget bounds what models may use. */
export function boundsModels(budget: Budget): boolean {
  return budget.tokens !== undefined || budget.cost_usd !== undefined;
}

/** A budget's bounds less what is gone. */
export function leftOf(
  budget: Budget,
  gone: { readonly tokens: number; readonly cost_nano: number },
): Left {
  return {
    tokens: budget.tokens === undefined ? null : budget.tokens - gone.tokens,
    cost_nano: budget.cost_usd === undefined
      ? null
      : Math.floor(budget.cost_usd * NANO) - gone.cost_nano,
  };
}

/** What the web may add to the prompt of one call. */
const WEB_TOKENS = WEB_USES_MAX * (WEB_SEARCH_TOKENS_MAX + WEB_FETCH_TOKENS_MAX);

function band(price: Price, input_tokens: number): Price {
  return price.above && input_tokens > price.above.input_tokens ? price.above.price : price;
}
