/** Whether a model call is made again: one count and one deadline, whatever its attempts failed of. */
import assert from "node:assert/strict";
import type { ModelFailure } from "../../../runtime/core/model/messages.ts";
import { PATIENCE } from "../../../runtime/core/model/patience.ts";
import {
  type AfterAttempt,
  afterAttempt,
  deadlineOf,
  type Tried,
} from "../../../runtime/core/model/retry.ts";

const BEGUN: Tried = { attempts: 0, begun_at: 1_000, reason: null };
const PATIENT = { ...PATIENCE, attempts_max: 3, deadline_ms: 60_000, retry_first_ms: 500 };

function again(failed: string, retry_after_ms: number | null = null, limited = false) {
  return { failed, concerns: "again", retry_after_ms, limited } as const;
}

/** What is decided after each of these in turn, a second apart. */
function after(...failures: ModelFailure[]): AfterAttempt[] {
  let tried = BEGUN;
  return failures.map((failure, index) => {
    const next = afterAttempt(tried, failure, PATIENT, 2_000 + index * 1_000, 1);
    if (next.verdict === "again") tried = next.tried;
    return next;
  });
}

function reasonOf(next: AfterAttempt): string | null {
  return next.verdict === "give up" ? next.failure.failed : null;
}

Deno.test("whatever an attempt failed of, all of them are counted together", () => {
  const [first, second, third] = after(
    again("overloaded"),
    again("its stream broke off"),
    again("The gateway worker is gone"),
  );
  assert.deepEqual([first, second].map(({ verdict }) => verdict), ["again", "again"]);
  assert.deepEqual(third, {
    verdict: "give up",
    failure: { failed: "The gateway worker is gone", concerns: "task" },
  });
});

Deno.test("the pause before another attempt doubles", () => {
  const waits = after(again("a"), again("b")).map((next) =>
    next.verdict === "again" && next.wait_ms
  );
  assert.deepEqual(waits, [500, 1_000]);
});

Deno.test("an attempt that a provider puts off because of its limits does not count, and waits in the lane alone", () => {
  const limits = Array.from({ length: 5 }, () => again("later", 7_000, true));
  for (const next of after(...limits)) {
    assert.ok(next.verdict === "again");
    assert.deepEqual([next.tried.attempts, next.wait_ms], [0, 0]);
  }
});

Deno.test("limits without a time to wait for, or with none worth the name, count like any fault", () => {
  assert.equal(after(...Array(3).fill(again("later", null, true))).at(-1)!.verdict, "give up");
  assert.equal(after(...Array(3).fill(again("later", 1, true))).at(-1)!.verdict, "give up");
});

Deno.test("what would begin after the deadline is given up at once, with its own reason", () => {
  const [next] = after(again("come back tomorrow", 3_600_000, true));
  assert.equal(reasonOf(next), "come back tomorrow");
  const late = { ...BEGUN, begun_at: 2_000 - PATIENT.deadline_ms + 499 };
  assert.equal(afterAttempt(late, again("x"), PATIENT, 2_000, 1).verdict, "give up");
  assert.equal(deadlineOf(late, PATIENT), 2_499);
});

Deno.test("a call that is late says what it failed of before, or that its turn never came", () => {
  const late = { failed: "No answer within 60 s", concerns: "late" } as const;
  assert.equal(reasonOf(after({ ...late, waiting: false })[0]), "No answer within 60 s");
  assert.equal(
    reasonOf(after({ ...late, waiting: true })[0]),
    "No answer within 60 s, waiting for its turn",
  );
  assert.equal(
    reasonOf(after(again("overloaded"), { ...late, waiting: true })[1]),
    "No answer within 60 s: overloaded",
  );
});

Deno.test("what would fail again is not tried again, and keeps what it concerns", () => {
  for (const concerns of ["task", "tree", "too_long"] as const) {
    const failure = { failed: "no", concerns };
    assert.deepEqual(after(failure), [{ verdict: "give up", failure }]);
  }
});
