import assert from "node:assert/strict";
import {
  atCall,
  atFailure,
  atNothing,
  type Breaker,
  breakerWait,
  CLOSED,
} from "../../../runtime/core/model/breaker.ts";
import {
  BREAKER_FAILURES,
  BREAKER_FIRST_MS,
  BREAKER_MAX_MS,
} from "../../../runtime/core/limits.ts";

/** So many failures in a row, all at one time. */
function failed(times: number, now: number, breaker: Breaker = CLOSED): Breaker {
  for (let time = 0; time < times; time++) breaker = atFailure(breaker, `fault ${time}`, now);
  return breaker;
}

const opened = (now: number): Breaker => failed(BREAKER_FAILURES, now);

/** The pauses of a provider that fails whenever somebody tries. */
function pauses(times: number): number[] {
  let [breaker, now] = [opened(0), 0];
  return Array.from({ length: times }, () => {
    const wait = breakerWait(breaker, now);
    now += wait;
    breaker = atFailure(atCall(breaker), "still away", now);
    return wait;
  });
}

Deno.test("calls need not wait while nothing has failed", () => {
  assert.equal(breakerWait(CLOSED, 0), 0);
  assert.deepEqual(atCall(CLOSED), CLOSED);
});

Deno.test("a breaker opens at the last of so many failures in a row and not before", () => {
  assert.equal(breakerWait(failed(BREAKER_FAILURES - 1, 100), 100), 0);
  assert.equal(breakerWait(failed(BREAKER_FAILURES, 100), 100), BREAKER_FIRST_MS);
});

Deno.test("an open breaker tells the last fault", () => {
  const breaker = opened(0);
  assert.equal(breaker.state, "open");
  assert.equal(breaker.state === "open" && breaker.reason, `fault ${BREAKER_FAILURES - 1}`);
});

Deno.test("calls that begin and calls that say nothing leave the count of failures as it is", () => {
  const before = failed(BREAKER_FAILURES - 1, 0);
  assert.equal(failed(1, 0, atNothing(atCall(before), 0)).state, "open");
});

Deno.test("an open breaker's wait shrinks with time and is never negative", () => {
  const breaker = opened(1000);
  assert.equal(breakerWait(breaker, 1001), BREAKER_FIRST_MS - 1);
  assert.equal(breakerWait(breaker, 1000 + BREAKER_FIRST_MS), 0);
  assert.equal(breakerWait(breaker, 1000 + 2 * BREAKER_FIRST_MS), 0);
});

Deno.test("while one call tries, the others wait for its end", () => {
  const trying = atCall(opened(0));
  assert.equal(trying.state, "half_open");
  assert.equal(breakerWait(trying, 10 * BREAKER_MAX_MS), Infinity);
  assert.deepEqual(atCall(trying), trying);
});

Deno.test("the reason stays known while one call tries", () => {
  const [open, trying] = [opened(0), atCall(opened(0))];
  assert.equal(
    trying.state === "half_open" && trying.reason,
    open.state === "open" && open.reason,
  );
});

Deno.test("a call that tries and fails opens the breaker at once, with its own reason", () => {
  const breaker = atFailure(atCall(opened(0)), "away again", 9000);
  assert.deepEqual(breaker, {
    state: "open",
    reason: "away again",
    until: 9000 + 2 * BREAKER_FIRST_MS,
    opened: 2,
  });
});

Deno.test("pauses double while nothing succeeds, up to the longest", () => {
  const expected = [0, 1, 2, 3, 4, 5, 6].map((power) =>
    Math.min(BREAKER_FIRST_MS * 2 ** power, BREAKER_MAX_MS)
  );
  assert.deepEqual(pauses(7), expected);
  assert.equal(expected.at(-1), BREAKER_MAX_MS);
});

Deno.test("a pause stays the longest however often the provider has failed", () => {
  assert.equal(pauses(2000).at(-1), BREAKER_MAX_MS);
});

Deno.test("calls that had begun before it opened do not lengthen the pause when they fail", () => {
  const breaker = opened(0);
  assert.deepEqual(failed(100, 3000, breaker), breaker);
});

Deno.test("a call that tries and says nothing hands the try on, without a pause", () => {
  const second = atFailure(atCall(opened(0)), "away", 0);
  const breaker = atNothing(atCall(second), 7000);
  assert.equal(breakerWait(breaker, 7000), 0);
  const next = atCall(breaker);
  assert.equal(next.state, "half_open");
  assert.equal(breakerWait(atFailure(next, "away", 8000), 8000), 4 * BREAKER_FIRST_MS);
});

Deno.test("a call that says nothing does not shorten the pause of an open breaker", () => {
  const breaker = opened(0);
  assert.deepEqual(atNothing(breaker, 1), breaker);
});
