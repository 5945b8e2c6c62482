import assert from "node:assert/strict";
import {
  climb,
  type Climbed,
  type LadderEvent,
  type Place,
  type Rung,
  type Standing,
} from "../../runtime/core/ladder.ts";
import { STUCK_GRACE_MS, STUCK_RESOLVED_MS, SUPERVISION_MS } from "../../runtime/core/limits.ts";

const TIMEOUT_MS = 10_000;
const RUNGS: readonly Rung[] = ["none", "reminded", "called", "supervised", "ended"];

/** On this rung since 100 s, detected at 95 s, and quiet since 80 s. */
function on(rung: Rung): Standing {
  const progress_at = 80_000;
  return rung === "none"
    ? { rung, progress_at }
    : { rung, progress_at, detected_at: 95_000, since: 100_000 };
}

function look(
  state: Standing,
  now: number,
  place: Place = "held",
  purpose: "subtask" | "supervision" = "subtask",
): Climbed {
  return climb(state, { type: "looked", now, place, purpose, timeout_ms: TIMEOUT_MS });
}

Deno.test("none: who is held and quiet for its timeout is reminded, with the seconds that it was quiet", () => {
  assert.deepEqual(look(on("none"), 89_999), { state: on("none"), actions: [] });
  assert.deepEqual(look(on("none"), 92_400), {
    state: { rung: "reminded", progress_at: 80_000, detected_at: 92_400, since: 92_400 },
    actions: [{
      type: "remind",
      text: "There was no progress for 12 s. Go on with your task, or end it.",
    }],
  });
});

Deno.test("none: who waits for a slot or rests is not stuck, however long that takes", () => {
  for (const place of ["waits_for_slot", "rests"] as const) {
    assert.deepEqual(look(on("none"), 1e9, place), { state: on("none"), actions: [] });
  }
});

Deno.test("none: a supervisor of a stuck task gets none of its own, and ends when its time is over", () => {
  const before = look(on("none"), 80_000 + SUPERVISION_MS - 1, "held", "supervision");
  assert.deepEqual(before, { state: on("none"), actions: [] });
  const { state, actions } = look(on("none"), 80_000 + SUPERVISION_MS, "held", "supervision");
  assert.equal(state.rung, "ended");
  assert.deepEqual(actions, [{ type: "give_up", reason: "Stuck: no progress for 40 s" }]);
});

Deno.test("reminded: after the grace the supervisor is asked, and not before", () => {
  const at = 100_000 + STUCK_GRACE_MS;
  assert.deepEqual(look(on("reminded"), at - 1), { state: on("reminded"), actions: [] });
  assert.deepEqual(look(on("reminded"), at), {
    state: { rung: "supervised", progress_at: 80_000, detected_at: 95_000, since: at },
    actions: [{
      type: "supervise",
      why: "it has made no progress for 25 s and was reminded once",
    }],
  });
});

Deno.test("reminded: who is at rest by now was not stuck", () => {
  assert.deepEqual(look(on("reminded"), 101_000, "rests"), { state: on("none"), actions: [] });
});

Deno.test("called: the supervisor is asked at once, when its owner has let go of it", () => {
  assert.deepEqual(look(on("called"), 100_001, "held"), { state: on("called"), actions: [] });
  assert.deepEqual(look(on("called"), 100_001, "rests"), {
    state: { rung: "supervised", progress_at: 80_000, detected_at: 95_000, since: 100_001 },
    actions: [{ type: "supervise", why: "it says itself that it is stuck" }],
  });
});

Deno.test("called: a supervisor that says so itself ends", () => {
  const { state, actions } = look(on("called"), 100_001, "rests", "supervision");
  assert.equal(state.rung, "ended");
  assert.deepEqual(actions, [{ type: "give_up", reason: "Stuck: it said so itself" }]);
});

Deno.test("supervised: it stays there until its time is over", () => {
  assert.deepEqual(look(on("supervised"), 95_000 + STUCK_RESOLVED_MS - 1), {
    state: on("supervised"),
    actions: [],
  });
});

Deno.test("ended: it stays so", () => {
  assert.deepEqual(look(on("ended"), 100_001), { state: on("ended"), actions: [] });
});

Deno.test("from every rung the end comes within the time that all of them have together", () => {
  const now = 95_000 + STUCK_RESOLVED_MS;
  for (const rung of ["reminded", "called", "supervised"] as const) {
    const why = rung === "called" ? "it said so itself" : "no progress for 75 s";
    for (const place of ["held", "rests"] as const) {
      assert.deepEqual(look(on(rung), now, place), {
        state: { rung: "ended", progress_at: 80_000, detected_at: 95_000, since: now },
        actions: [{ type: "give_up", reason: `Stuck: ${why}, and nobody resolved it` }],
      });
    }
  }
});

Deno.test("the rungs fit into the time that all of them have together", () => {
  assert.ok(STUCK_GRACE_MS + SUPERVISION_MS < STUCK_RESOLVED_MS);
});

Deno.test("who waits for a slot does not climb, whatever rung it stands on and for how long", () => {
  for (const rung of RUNGS) {
    assert.deepEqual(look(on(rung), 1e9, "waits_for_slot"), { state: on(rung), actions: [] });
  }
});

Deno.test("who moves steps off from every rung", () => {
  for (const rung of RUNGS) {
    const { state, actions } = climb(on(rung), { type: "moved", now: 101_000 });
    assert.deepEqual(state, { rung: "none", progress_at: 101_000 });
    assert.deepEqual(actions, []);
  }
});

Deno.test("who is let go of steps off, except for one that has called", () => {
  const kept = RUNGS.filter((rung) => climb(on(rung), { type: "released" }).state.rung === rung);
  assert.deepEqual(kept, ["none", "called"]);
});

Deno.test("who calls needs no reminder, and its time begins then", () => {
  for (const rung of RUNGS) {
    assert.deepEqual(climb(on(rung), { type: "called", now: 101_000 }), {
      state: { rung: "called", progress_at: 80_000, detected_at: 101_000, since: 101_000 },
      actions: [],
    });
  }
});

Deno.test("without anybody to decide about it a task ends, and the reason says why nobody did", () => {
  const event: LadderEvent = { type: "unsupervised", now: 101_000, why: "there is no supervisor" };
  const reason = (rung: Rung) => climb(on(rung), event).actions;
  assert.deepEqual(reason("reminded"), [
    { type: "give_up", reason: "Stuck: no progress for 21 s (there is no supervisor)" },
  ]);
  assert.deepEqual(reason("called"), [
    { type: "give_up", reason: "Stuck: it said so itself (there is no supervisor)" },
  ]);
});

Deno.test("no reason ever speaks of no progress for 0 s", () => {
  const fresh: Standing = { rung: "reminded", progress_at: 95_000, detected_at: 95_000, since: 0 };
  const { actions } = climb(fresh, { type: "unsupervised", now: 95_001, why: "no" });
  assert.deepEqual(actions, [{ type: "give_up", reason: "Stuck: no progress for 1 s (no)" }]);
});
