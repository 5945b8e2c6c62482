import assert from "node:assert/strict";
import {
  boundsModels,
  costOf,
  type Grant,
  grant,
  leftOf,
  NANO,
  type Price,
  type Rates,
  type Want,
} from "../../../runtime/core/model/budget.ts";
import {
  MODEL_OUTPUT_TOKENS_LEAST,
  WEB_FETCH_TOKENS_MAX,
  WEB_SEARCH_TOKENS_MAX,
  WEB_USES_MAX,
} from "../../../runtime/core/limits.ts";
import { NO_USAGE, type Usage } from "../../../runtime/core/model/messages.ts";
import { mulberry32 } from "../../support/random.ts";

const price: Price = { input: 3, cache_write: 4, cache_read: 1, output: 15, web_search: 10_000 };
const dearer: Rates = { input: 6, cache_write: 8, cache_read: 2, output: 22, web_search: 10_000 };
const banded: Price = { ...price, above: { input_tokens: 200_000, rates: dearer } };
const free: Price = { input: 0, cache_write: 0, cache_read: 0, output: 0, web_search: 0 };

const WEB_TOKENS = WEB_USES_MAX * (WEB_SEARCH_TOKENS_MAX + WEB_FETCH_TOKENS_MAX);

const want = (more: Partial<Want> = {}): Want => ({
  input_tokens: 10_000,
  output_tokens: 8_000,
  web: false,
  ...more,
});
const boundless = { tokens: null, cost_nano: null };

Deno.test("a call costs its prompt and its reply at their prices", () => {
  assert.equal(costOf({ ...NO_USAGE, input_tokens: 100, output_tokens: 10 }, price), 450);
});

Deno.test("tokens of the cache have their own prices and are no fresh ones", () => {
  const usage: Usage = {
    input_tokens: 1000,
    cache_read_tokens: 700,
    cache_write_tokens: 200,
    output_tokens: 10,
    web_searches: 0,
  };
  assert.equal(costOf(usage, price), 100 * 3 + 200 * 4 + 700 * 1 + 10 * 15);
});

Deno.test("each search of the web has its price", () => {
  assert.equal(costOf({ ...NO_USAGE, web_searches: 3 }, price), 30_000);
});

Deno.test("a call that used nothing costs nothing", () => {
  assert.equal(costOf(NO_USAGE, price), 0);
});

Deno.test("nobody knows what a call costs whose price is unknown", () => {
  assert.equal(costOf({ ...NO_USAGE, input_tokens: 1 }, null), null);
});

Deno.test("above its bound the other price counts for the whole call, up to it the first one", () => {
  const used = (input_tokens: number) => ({ ...NO_USAGE, input_tokens, output_tokens: 1 });
  assert.equal(costOf(used(200_000), banded), 200_000 * 3 + 15);
  assert.equal(costOf(used(200_001), banded), 200_001 * 6 + 22);
});

Deno.test("tokens of the cache count for the bound of a price", () => {
  const usage = { ...NO_USAGE, input_tokens: 200_001, cache_read_tokens: 200_000 };
  assert.equal(costOf(usage, banded), 1 * 6 + 200_000 * 2);
});

Deno.test("without bounds a call may have all that it wants", () => {
  assert.deepEqual(grant(want(), boundless, price), {
    max_tokens: 8_000,
    web: false,
    tokens: 18_000,
    cost_nano: 10_000 * 4 + 8_000 * 15,
  });
});

Deno.test("a reply is no longer than the tokens that are left beside its prompt", () => {
  const granted = grant(want(), { tokens: 15_000, cost_nano: null }, price);
  assert.equal(granted?.max_tokens, 5_000);
  assert.equal(granted?.tokens, 15_000);
});

Deno.test("a reply is no longer than the money that is left beside its prompt", () => {
  const cost_nano = 10_000 * 4 + 5_000 * 15 + 14;
  const granted = grant(want(), { tokens: null, cost_nano }, price);
  assert.equal(granted?.max_tokens, 5_000);
  assert.equal(granted?.cost_nano, cost_nano - 14);
});

Deno.test("the scarcer of tokens and money decides", () => {
  const cost_nano = 10_000 * 4 + 5_000 * 15;
  const max_tokens = (tokens: number) => grant(want(), { tokens, cost_nano }, price)?.max_tokens;
  assert.equal(max_tokens(20_000), 5_000);
  assert.equal(max_tokens(14_000), 4_000);
});

Deno.test("a call gets nothing when not even the least reply fits, and something when it does", () => {
  const least = MODEL_OUTPUT_TOKENS_LEAST;
  const byTokens = (tokens: number) => grant(want(), { tokens, cost_nano: null }, price);
  assert.equal(byTokens(10_000 + least)?.max_tokens, least);
  assert.equal(byTokens(10_000 + least - 1), null);
  const byCost = (cost_nano: number) => grant(want(), { tokens: null, cost_nano }, price);
  assert.equal(byCost(40_000 + least * 15)?.max_tokens, least);
  assert.equal(byCost(40_000 + least * 15 - 1), null);
});

Deno.test("a call that wants less than the least reply gets it whole or not at all", () => {
  const short = want({ output_tokens: 100 });
  assert.equal(grant(short, { tokens: 10_100, cost_nano: null }, price)?.max_tokens, 100);
  assert.equal(grant(short, { tokens: 10_099, cost_nano: null }, price), null);
});

Deno.test("a budget that is overdrawn gives nothing", () => {
  assert.equal(grant(want(), { tokens: -1, cost_nano: null }, price), null);
  assert.equal(grant(want(), { tokens: null, cost_nano: -1 }, price), null);
  assert.equal(grant(want(), { tokens: null, cost_nano: -1 }, free), null);
});

Deno.test("a call whose price is unknown gets nothing of a budget in dollars", () => {
  assert.equal(grant(want(), { tokens: null, cost_nano: 1_000 * NANO }, null), null);
  assert.equal(grant(want(), { tokens: 1_000_000, cost_nano: 1_000 * NANO }, null), null);
});

Deno.test("a call whose price is unknown is granted within a budget of tokens", () => {
  assert.deepEqual(grant(want(), { tokens: 15_000, cost_nano: null }, null), {
    max_tokens: 5_000,
    web: false,
    tokens: 15_000,
    cost_nano: 0,
  });
});

Deno.test("a model that costs nothing is bound by tokens alone", () => {
  assert.deepEqual(grant(want(), { tokens: null, cost_nano: 0 }, free), {
    max_tokens: 8_000,
    web: false,
    tokens: 18_000,
    cost_nano: 0,
  });
  assert.equal(grant(want(), { tokens: 15_000, cost_nano: 0 }, free)?.max_tokens, 5_000);
});

Deno.test("a model whose reply costs nothing still has to have its prompt paid", () => {
  const half = { ...price, output: 0 };
  assert.equal(grant(want(), { tokens: null, cost_nano: 40_000 }, half)?.max_tokens, 8_000);
  assert.equal(grant(want(), { tokens: null, cost_nano: 39_999 }, half), null);
});

Deno.test("the web adds what it may find to the prompt, and its searches to the cost", () => {
  const input = 10_000 + WEB_TOKENS;
  const granted = grant(want({ web: true }), boundless, price);
  assert.deepEqual(granted, {
    max_tokens: 8_000,
    web: true,
    tokens: input + 8_000,
    cost_nano: input * 4 + WEB_USES_MAX * 10_000 + 8_000 * 15,
  });
  const left = { tokens: input + 2_000, cost_nano: null };
  assert.equal(grant(want({ web: true }), left, price)?.max_tokens, 2_000);
});

Deno.test("a prompt that the web may lift above a bound is granted at the price above it", () => {
  const near = want({ input_tokens: 200_000 - WEB_TOKENS + 1, web: true });
  assert.equal(
    grant(near, boundless, banded)?.cost_nano,
    200_001 * 8 + WEB_USES_MAX * 10_000 + 8_000 * 22,
  );
  assert.equal(
    grant({ ...near, web: false }, boundless, banded)?.cost_nano,
    near.input_tokens * 4 + 8_000 * 15,
  );
});

Deno.test("a call whose budget is too small for the web is made without it instead of not at all", () => {
  const least = MODEL_OUTPUT_TOKENS_LEAST;
  const searching = want({ web: true });
  const fits = 10_000 + WEB_TOKENS + least;
  assert.equal(grant(searching, { tokens: fits, cost_nano: null }, price)?.web, true);
  const left = { tokens: fits - 1, cost_nano: null };
  assert.equal(grant(searching, left, price)?.web, false);
  assert.deepEqual(grant(searching, left, price), grant(want(), left, price));
  const poor = { tokens: null, cost_nano: 10_000 * 4 + 8_000 * 15 };
  assert.deepEqual(grant(searching, poor, price), grant(want(), poor, price));
  assert.equal(grant(searching, { tokens: 10_000 + least - 1, cost_nano: null }, price), null);
});

Deno.test("a long prompt that would be cheap is granted at the price it has when it turns out short", () => {
  const cheaper: Rates = { ...price, input: 1, cache_write: 1, output: 20 };
  const falling: Price = { ...price, above: { input_tokens: 5_000, rates: cheaper } };
  const granted = grant(want(), boundless, falling);
  assert.equal(granted?.cost_nano, 10_000 * 4 + 8_000 * 20);
  const short = { ...NO_USAGE, input_tokens: 5_000, cache_write_tokens: 5_000 };
  assert.equal(costOf(short, falling), 5_000 * 4);
});

/**
 * A call that is granted, and what it then really uses: at most what was wanted, so that a prompt may
 * turn out shorter and be in the band below, whose rates may be the higher ones.
 */
function calls(seed: number) {
  const random = mulberry32(seed);
  const upTo = (most: number) => Math.floor(random() * (most + 1));
  const rates = (): Rates => ({
    input: upTo(20),
    cache_write: upTo(25),
    cache_read: upTo(20),
    output: upTo(2) === 0 ? 0 : upTo(80),
    web_search: upTo(20_000),
  });
  const above = { input_tokens: upTo(300_000), rates: rates() };
  const price: Price = upTo(1) === 0 ? rates() : { ...rates(), above };
  const asked: Want = { input_tokens: upTo(300_000), output_tokens: upTo(40_000), web: !upTo(1) };
  const left = {
    tokens: upTo(1) === 0 ? null : upTo(600_000),
    cost_nano: upTo(1) === 0 ? null : upTo(10_000_000),
  };
  const granted = grant(asked, left, price);
  const used = ({ max_tokens, web }: Grant): Usage => {
    // Often the whole of it: bounds are touched at their ends.
    const some = (most: number) => upTo(2) === 0 ? most : upTo(most);
    const input_tokens = some(asked.input_tokens + (web ? WEB_TOKENS : 0));
    const cache_read_tokens = some(input_tokens);
    const cache_write_tokens = some(input_tokens - cache_read_tokens);
    const web_searches = web ? some(WEB_USES_MAX) : 0;
    const output_tokens = some(max_tokens);
    return { input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, web_searches };
  };
  return { price, asked, left, granted, used };
}

Deno.test("what is set aside is never less than what the call then costs, nor more than is left", () => {
  let [grants, shorter, falling] = [0, 0, 0];
  for (let seed = 1; seed <= 3000; seed++) {
    const { price, asked, left, granted, used } = calls(seed);
    if (!granted) continue;
    grants++;
    assert.ok(granted.max_tokens <= asked.output_tokens, `seed ${seed}`);
    assert.ok(granted.tokens <= (left.tokens ?? Infinity), `seed ${seed}`);
    assert.ok(granted.cost_nano <= (left.cost_nano ?? Infinity), `seed ${seed}`);
    for (let time = 0; time < 10; time++) {
      const usage = used(granted);
      const said: string = `seed ${seed}: ${JSON.stringify({ usage, granted, price })}`;
      assert.ok(usage.input_tokens + usage.output_tokens <= granted.tokens, said);
      assert.ok(costOf(usage, price)! <= granted.cost_nano, said);
      const { above } = price;
      const isShorter = above && asked.input_tokens > above.input_tokens &&
        usage.input_tokens <= above.input_tokens;
      if (isShorter) shorter++;
      if (isShorter && costOf(usage, price)! > costOf(usage, above.rates)!) falling++;
    }
  }
  const tried = `${grants}, ${shorter}, ${falling}`;
  assert.ok(grants > 500 && shorter > 100 && falling > 50, `tries too little: ${tried}`);
});

Deno.test("what a call is refused, the web or all of it, left no room for the least reply", () => {
  let [refused, without_web] = [0, 0];
  for (let seed = 1; seed <= 3000; seed++) {
    const { price, asked, left, granted } = calls(seed);
    if (granted?.web === asked.web) continue;
    const output_tokens = Math.min(asked.output_tokens, MODEL_OUTPUT_TOKENS_LEAST);
    const web = granted !== null;
    if (web) without_web++;
    else refused++;
    const least = grant({ ...asked, output_tokens, web }, boundless, price)!;
    assert.ok(
      least.tokens > (left.tokens ?? Infinity) || least.cost_nano > (left.cost_nano ?? Infinity),
      `seed ${seed}`,
    );
  }
  assert.ok(refused > 500 && without_web > 50, `tries too little: ${refused}, ${without_web}`);
});

Deno.test("a budget bounds models by tokens or by money, and by nothing else", () => {
  assert.equal(boundsModels({}), false);
  assert.equal(boundsModels({ wall_seconds: 1, depth: 1, tasks: 1, turns: 1 }), false);
  assert.equal(boundsModels({ tokens: 0 }), true);
  assert.equal(boundsModels({ cost_usd: 0 }), true);
});

Deno.test("what is left is the budget less what is gone, and may be below nothing", () => {
  const gone = { tokens: 300, cost_nano: 400_000_000 };
  assert.deepEqual(leftOf({ tokens: 1000, cost_usd: 1.5 }, gone), {
    tokens: 700,
    cost_nano: 1_100_000_000,
  });
  assert.deepEqual(leftOf({ tokens: 100, cost_usd: 0.1 }, gone), {
    tokens: -200,
    cost_nano: -300_000_000,
  });
});

Deno.test("what a budget does not bound is left without a bound", () => {
  const gone = { tokens: 300, cost_nano: 400 };
  assert.deepEqual(leftOf({ turns: 3 }, gone), { tokens: null, cost_nano: null });
  assert.deepEqual(leftOf({ tokens: 0 }, gone), { tokens: -300, cost_nano: null });
  assert.deepEqual(leftOf({ cost_usd: 0 }, gone), { tokens: null, cost_nano: -400 });
});

Deno.test("what is left is a whole number of billionths", () => {
  const { cost_nano } = leftOf({ cost_usd: 0.1234567891234 }, { tokens: 0, cost_nano: 0 });
  assert.equal(cost_nano, 123_456_789);
});
