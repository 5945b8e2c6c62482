/**
 * What model calls cost, and how much of a tree's budget the next one may use. Money is counted in
 * billionths of a dollar, so that the price of one token is a whole number.
 */
import {
  MODEL_OUTPUT_TOKENS_LEAST,
  WEB_FETCH_TOKENS_MAX,
  WEB_SEARCH_TOKENS_MAX,
  WEB_USES_MAX,
} from "../limits.ts";
import type { Usage } from "./messages.ts";
import type { Budget } from "../protocol.ts";

export const NANO = 1_000_000_000;

/** In billionths of a dollar: a token of each kind, and one search of the web. */
export interface Rates {
  readonly input: number;
  readonly cache_write: number;
  readonly cache_read: number;
  readonly output: number;
  readonly web_search: number;
}

export interface Price extends Rates {
  /** With more than so many tokens of prompt other rates count, for the whole call. */
  readonly above?: { readonly input_tokens: number; readonly rates: Rates };
}

/** What is known about a model. */
export interface ModelFacts {
  /** Tokens of prompt and reply together. */
  readonly context_tokens: number;
  /** Longest reply in tokens. */
  readonly output_tokens: number;
  /** Calls of it at once, where that is less than `MODEL_CALLS_MAX`: a local server may take one. */
  readonly calls_max?: number;
  /** Whether its provider has tools of its own for the web. */
  readonly web: boolean;
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
  /** Whether the web may be used: what that may cost does not fit into every budget. */
  readonly web: boolean;
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
  const { above } = price;
  const rates = above && usage.input_tokens > above.input_tokens ? above.rates : price;
  const { input, cache_write, cache_read, output, web_search } = rates;
  const fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens;
  return fresh * input + usage.cache_write_tokens * cache_write +
    usage.cache_read_tokens * cache_read + usage.output_tokens * output +
    usage.web_searches * web_search;
}

/**
 * The worst case of a call, its reply as long as what is left allows, without the web if that does not
 * fit; null when nothing does.
 */
export function grant(want: Want, left: Left, price: Price | null): Grant | null {
  const granted = worstCase(want, left, price);
  return granted || !want.web ? granted : worstCase({ ...want, web: false }, left, price);
}

function worstCase({ input_tokens, output_tokens, web }: Want, left: Left, price: Price | null) {
  const input = input_tokens + (web ? WEB_TOKENS : 0);
  const rates = price && highest(price, input);
  const fixed = !rates ? 0 : input * Math.max(rates.input, rates.cache_write, rates.cache_read) +
    (web ? WEB_USES_MAX * rates.web_search : 0);
  const max_tokens = Math.min(
    output_tokens,
    left.tokens === null ? Infinity : left.tokens - input,
    left.cost_nano === null ? Infinity : longestPaid(left.cost_nano - fixed, rates),
  );
  if (max_tokens < Math.min(MODEL_OUTPUT_TOKENS_LEAST, output_tokens)) return null;
  const cost_nano = rates ? fixed + max_tokens * rates.output : 0;
  return { max_tokens, web, tokens: input + max_tokens, cost_nano };
}

/** The longest reply that so much pays for; what has no price cannot be paid. */
function longestPaid(cost_nano: number, rates: Rates | null): number {
  if (!rates || cost_nano < 0) return -1;
  return rates.output === 0 ? Infinity : Math.floor(cost_nano / rates.output);
}

/** The rates that may count, each at its highest: a prompt may be shorter than was feared. */
function highest({ above, ...rates }: Price, input_tokens: number): Rates {
  if (!above || input_tokens <= above.input_tokens) return rates;
  const of = (rate: keyof Rates) => Math.max(rates[rate], above.rates[rate]);
  return {
    input: of("input"),
    cache_write: of("cache_write"),
    cache_read: of("cache_read"),
    output: of("output"),
    web_search: of("web_search"),
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
