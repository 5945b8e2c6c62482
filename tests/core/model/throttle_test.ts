import assert from "node:assert/strict";
import { MODEL_CALLS_MAX } from "../../../runtime/core/limits.ts";
import {
  type Limited,
  type RateLimit,
  type RateLimits,
  Throttle,
} from "../../../runtime/core/model/throttle.ts";
import { mulberry32 } from "../../support/random.ts";

/** A call is made, and its answer tells these limits. */
function told(limits: RateLimits, now = 0, throttle = new Throttle()): Throttle {
  throttle.begin(0, now);
  throttle.heard(0, limits, now);
  throttle.end();
  return throttle;
}

const empty: RateLimit = { limit: 100, remaining: 0, full_at: 10_000 };

Deno.test("a call need not wait while the provider has told nothing", () => {
  const throttle = new Throttle();
  assert.equal(throttle.wait(1_000_000, 0), 0);
  throttle.begin(1_000_000, 0);
  assert.equal(throttle.wait(1_000_000, 0), 0);
  assert.deepEqual(throttle.levels(0), {});
});

Deno.test("a bucket refills evenly until it is full at the time that was told", () => {
  const throttle = told({ input_tokens: empty });
  const levels = [0, 2500, 5000, 10_000, 20_000].map((now) => throttle.levels(now).input_tokens);
  assert.deepEqual(levels.map((level) => level?.remaining), [0, 25, 50, 100, 100]);
  assert.deepEqual(levels.map((level) => level?.limit), [100, 100, 100, 100, 100]);
});

Deno.test("a bucket that was told half full refills its other half until then", () => {
  const throttle = told({ input_tokens: { limit: 100, remaining: 50, full_at: 11_000 } }, 1000);
  assert.equal(throttle.levels(6000).input_tokens?.remaining, 75);
});

Deno.test("a call waits until there is enough for its prompt, and not longer", () => {
  const throttle = told({ input_tokens: empty });
  assert.equal(throttle.wait(30, 0), 3000);
  assert.equal(throttle.wait(30, 1000), 2000);
  assert.equal(throttle.wait(30, 2999), 1);
  assert.equal(throttle.wait(30, 3000), 0);
});

for (const kind of ["requests", "output_tokens"] as const) {
  Deno.test(`a call waits until one of its ${kind} is possible, however long its prompt is`, () => {
    const throttle = told({ [kind]: { limit: 10, remaining: 0, full_at: 10_000 } });
    assert.equal(throttle.wait(1_000_000, 0), 1000);
  });
}

Deno.test("a call waits for the slowest of its limits", () => {
  const throttle = told({
    requests: { limit: 10, remaining: 0, full_at: 10_000 },
    input_tokens: empty,
    output_tokens: { limit: 10, remaining: 5, full_at: 10_000 },
  });
  assert.equal(throttle.wait(5, 0), 1000);
  assert.equal(throttle.wait(50, 0), 5000);
});

Deno.test("a call that begins takes its request, its prompt and one token out", () => {
  const full: RateLimit = { limit: 100, remaining: 100, full_at: 0 };
  const throttle = told({ requests: full, input_tokens: full, output_tokens: full });
  throttle.begin(30, 0);
  assert.deepEqual(throttle.levels(0), {
    requests: { limit: 100, remaining: 99 },
    input_tokens: { limit: 100, remaining: 70 },
    output_tokens: { limit: 100, remaining: 99 },
  });
});

Deno.test("a bucket that was told full refills within a minute", () => {
  for (const full_at of [0, 5000]) {
    const throttle = told({ input_tokens: { limit: 60, remaining: 60, full_at } });
    throttle.begin(60, 0);
    assert.equal(throttle.levels(30_000).input_tokens?.remaining, 30);
    assert.equal(throttle.wait(60, 0), 60_000);
  }
});

Deno.test("a bucket that lacked one token for a minute does not keep a long prompt waiting for hours", () => {
  const throttle = told({ input_tokens: { limit: 1000, remaining: 999, full_at: 60_000 } });
  throttle.begin(999, 0);
  assert.equal(throttle.wait(500, 0), 30_000);
  assert.equal(throttle.wait(1000, 0), 60_000);
});

Deno.test("a bucket that refills in less than a minute is believed", () => {
  const throttle = told({ input_tokens: { limit: 1000, remaining: 900, full_at: 1000 } });
  throttle.begin(900, 0);
  assert.equal(throttle.wait(500, 0), 5000);
});

Deno.test("a time that is already past leaves a bucket that refills within a minute", () => {
  const throttle = told({ input_tokens: { limit: 60, remaining: 0, full_at: 900 } }, 1000);
  assert.equal(throttle.wait(30, 1000), 30_000);
});

Deno.test("calls that have begun and are not heard yet are taken off what is told", () => {
  const throttle = new Throttle();
  throttle.begin(10, 0);
  throttle.begin(20, 0);
  throttle.begin(30, 0);
  const heard = { limit: 100, remaining: 90, full_at: 10_000 };
  throttle.heard(10, { requests: heard, input_tokens: heard }, 0);
  assert.equal(throttle.levels(0).input_tokens?.remaining, 40);
  assert.equal(throttle.levels(0).requests?.remaining, 88);
  throttle.heard(20, { input_tokens: { ...heard, remaining: 70 } }, 0);
  assert.equal(throttle.levels(0).input_tokens?.remaining, 40);
});

Deno.test("an answer without limits leaves the buckets as they are, and its call is heard", () => {
  const throttle = told({ input_tokens: { limit: 100, remaining: 100, full_at: 0 } });
  throttle.begin(30, 0);
  throttle.heard(30, {}, 0);
  assert.equal(throttle.levels(0).input_tokens?.remaining, 70);
  told({ input_tokens: { limit: 100, remaining: 60, full_at: 60_000 } }, 0, throttle);
  assert.equal(throttle.levels(0).input_tokens?.remaining, 60);
});

Deno.test("a limit that an answer leaves out stays as it was", () => {
  const throttle = told({ input_tokens: empty });
  told({ requests: { limit: 10, remaining: 10, full_at: 0 } }, 0, throttle);
  assert.equal(throttle.levels(5000).input_tokens?.remaining, 50);
});

Deno.test("a limit that is told anew replaces the one before", () => {
  const throttle = told({ input_tokens: empty });
  told({ input_tokens: { limit: 1000, remaining: 900, full_at: 10_000 } }, 0, throttle);
  assert.deepEqual(throttle.levels(0).input_tokens, { limit: 1000, remaining: 900 });
});

Deno.test("a prompt larger than the bucket waits for a full one, and then begins", () => {
  const throttle = told({ input_tokens: { ...empty, remaining: 40 } });
  assert.equal(throttle.wait(500, 0), 10_000);
  assert.ok(throttle.wait(500, 9990) >= 10);
  assert.equal(throttle.wait(500, 10_000), 0);
});

Deno.test("who comes after a prompt larger than the bucket waits until that is paid back", () => {
  const throttle = told({ input_tokens: empty });
  throttle.begin(150, 10_000);
  assert.equal(throttle.levels(10_000).input_tokens?.remaining, 0);
  assert.equal(throttle.wait(10, 10_000), 6000);
});

Deno.test("what is left is never told below nothing", () => {
  const throttle = told({ input_tokens: empty, requests: empty });
  for (let call = 0; call < 5; call++) throttle.begin(70, 0);
  assert.deepEqual(throttle.levels(0), {
    requests: { limit: 100, remaining: 0 },
    input_tokens: { limit: 100, remaining: 0 },
  });
  throttle.heard(70, { input_tokens: empty }, 0);
  assert.equal(throttle.levels(0).input_tokens?.remaining, 0);
});

Deno.test("a limit of nothing says nothing", () => {
  const none: RateLimit = { limit: 0, remaining: 0, full_at: 60_000 };
  const throttle = told({ requests: none, input_tokens: none, output_tokens: none });
  assert.equal(throttle.wait(1000, 0), 0);
  throttle.begin(1000, 0);
  assert.equal(throttle.wait(1000, 0), 0);
  assert.deepEqual(throttle.levels(0).input_tokens, { limit: 0, remaining: 0 });
});

Deno.test("no call begins while the provider wants a pause", () => {
  const throttle = new Throttle();
  throttle.pause(500, 1000);
  assert.equal(throttle.paused_until, 1500);
  assert.deepEqual([1000, 1499, 1500, 2000].map((now) => throttle.wait(1, now)), [500, 1, 0, 0]);
});

Deno.test("a shorter pause does not end a longer one", () => {
  const throttle = new Throttle();
  throttle.pause(500, 1000);
  throttle.pause(100, 1100);
  assert.equal(throttle.paused_until, 1500);
  throttle.pause(500, 1100);
  assert.equal(throttle.paused_until, 1600);
});

Deno.test("the longer of pause and refill counts", () => {
  const throttle = told({ input_tokens: empty });
  throttle.pause(2000, 0);
  assert.equal(throttle.wait(10, 0), 2000);
  assert.equal(throttle.wait(30, 0), 3000);
});

Deno.test("one call more than the most at once waits until another ends", () => {
  const throttle = new Throttle();
  for (let call = 1; call < MODEL_CALLS_MAX; call++) throttle.begin(1, 0);
  assert.equal(throttle.wait(1, 0), 0);
  throttle.begin(1, 0);
  assert.equal(throttle.under_way, MODEL_CALLS_MAX);
  assert.equal(throttle.wait(1, 0), Infinity);
  throttle.heard(1, {}, 0);
  assert.equal(throttle.wait(1, 0), Infinity);
  throttle.end();
  assert.equal(throttle.wait(1, 0), 0);
});

/** What calls may cost from one telling to the next, counted by itself. */
interface Allowance {
  readonly at: number;
  readonly remaining: number;
  readonly per_ms: number;
  begun: number;
}

/**
 * A provider that tells its limits at random and an agent that begins whenever it need not wait.
 * @throws {AssertionError} when more has begun between two tellings than was told and refilled
 */
function walk(seed: number): { begun: number; waited: number } {
  const random = mulberry32(seed);
  const upTo = (most: number) => Math.floor(random() * (most + 1));
  const throttle = new Throttle();
  const unheard: number[] = [];
  const allowed = new Map<Limited, Allowance>();
  const costs = (kind: Limited, prompt: number) => kind === "input_tokens" ? prompt : 1;
  const counts = { begun: 0, waited: 0 };
  let now = 1_000_000;

  const tell = () => {
    const [prompt] = unheard.splice(upTo(unheard.length - 1), 1);
    const limits: RateLimits = {};
    for (const kind of ["requests", "input_tokens", "output_tokens"] as const) {
      if (random() < 0.2) continue;
      const limit = kind === "input_tokens" ? 500 + upTo(500) : 5 + upTo(20);
      const remaining = upTo(limit - 1);
      const full_at = now + 1 + upTo(60_000);
      limits[kind] = { limit, remaining, full_at };
      const begun = unheard.reduce((sum, other) => sum + costs(kind, other), 0);
      const per_ms = Math.max((limit - remaining) / (full_at - now), limit / 60_000);
      allowed.set(kind, { at: now, remaining, per_ms, begun });
    }
    throttle.heard(prompt, limits, now);
    throttle.end();
  };

  for (let step = 0; step < 2000; step++) {
    now += upTo(200);
    if (unheard.length > 0 && random() < 0.3) tell();
    const prompt = 1 + upTo(499);
    const wait = throttle.wait(prompt, now);
    if (wait > 0) {
      counts.waited++;
      if (random() < 0.7) continue;
      // When it was said to be enough; a level is no whole number, so that it may take 1 ms more.
      now += wait;
      const more = throttle.wait(prompt, now);
      assert.ok(more <= 1, `seed ${seed}, step ${step}: ${more} ms more`);
      now += more;
    }
    throttle.begin(prompt, now);
    unheard.push(prompt);
    counts.begun++;
    for (const [kind, allowance] of allowed) {
      allowance.begun += costs(kind, prompt);
      const refilled = (now - allowance.at) * allowance.per_ms;
      const most = allowance.remaining + refilled + 1e-6;
      assert.ok(allowance.begun <= most, `seed ${seed}, step ${step}: ${kind} above ${most}`);
    }
    for (const { limit, remaining } of Object.values(throttle.levels(now))) {
      assert.ok(remaining >= 0 && remaining <= limit, `seed ${seed}, step ${step}`);
    }
  }
  return counts;
}

Deno.test("between two tellings never more begins than was told and has refilled since", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { begun, waited } = walk(seed);
    assert.ok(begun > 100 && waited > 100, `seed ${seed} tries nothing: ${begun}, ${waited}`);
  }
});
