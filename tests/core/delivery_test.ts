import assert from "node:assert/strict";
import { afterFailedEffect, afterFailure, backOff } from "../../runtime/core/delivery.ts";
import { ATTEMPTS_MAX, RETRY_FIRST_MS, RETRY_MAX_MS } from "../../runtime/core/limits.ts";

Deno.test("a failed envelope is tried again after a pause that doubles", () => {
  const now = 1_000_000;
  for (let attempts = 1; attempts < ATTEMPTS_MAX; attempts++) {
    assert.deepEqual(afterFailure(attempts, now), {
      verdict: "retry",
      due_at: now + RETRY_FIRST_MS * 2 ** (attempts - 1),
    });
  }
});

Deno.test("an envelope is buried when its last attempt failed, and any later one too", () => {
  assert.deepEqual(afterFailure(ATTEMPTS_MAX, 0), { verdict: "bury" });
  assert.deepEqual(afterFailure(ATTEMPTS_MAX + 1, 0), { verdict: "bury" });
});

Deno.test("the pause begins at its first length and never exceeds its longest", () => {
  assert.equal(backOff(1), RETRY_FIRST_MS);
  assert.equal(backOff(2), 2 * RETRY_FIRST_MS);
  assert.equal(backOff(30), RETRY_MAX_MS);
  assert.equal(backOff(5_000), RETRY_MAX_MS);
});

Deno.test("an effect that comes to nothing is tried again, told of, buried and dropped, in this order", () => {
  const fates = Array.from(
    { length: 2 * ATTEMPTS_MAX },
    (_, failed) => afterFailedEffect(failed + 1),
  );
  assert.deepEqual(fates, ["again", "again", "tell", "bury", "bury", "drop"]);
});
