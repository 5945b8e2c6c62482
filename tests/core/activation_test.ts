import assert from "node:assert/strict";
import { claimOf } from "../../db/actors.ts";
import { deliveredOf } from "../../db/envelopes.ts";
import {
  type Action,
  type Activation,
  type Event,
  RELEASED,
  transition,
} from "../../runtime/core/activation.ts";
import { ATTEMPTS_MAX, COMMIT_RETRY_MAX_MS, RETRY_FIRST_MS } from "../../runtime/core/limits.ts";
import type { OpenEffect } from "../../runtime/core/protocol.ts";

const runnable = { address: "a", tree_id: "tree", priority: 5, urgent: false };
const urgent = { ...runnable, urgent: true };

const claimed = (epoch = 1, attempts: number | null = 1): Event => ({
  type: "claimed",
  claim: claimOf({ address: "a", tree_id: "tree", owner: "me", epoch }),
  kind: "agent",
  state_json: null,
  effects: [],
  delivered: attempts === null ? null : envelope(attempts),
});

const envelope = (attempts = 1) =>
  deliveredOf([{ id: "e", type: "hint", message_json: "{}", attempts }])!;

const effect: OpenEffect = {
  key: "e/00",
  address: "a",
  tree_id: "tree",
  effect: { type: "ask_model", turn: 1 },
  status: "pending",
  attempts: 0,
};

const woken: Event = { type: "woken", runnable };
const step = { state: "{}", effects: [] };
const stepped: Event = { type: "stepped", step };
const taken: Event = { type: "taken", due: [], delivered: null };
const settled: Event = { type: "settled", due: [], delivered: null };
const unknown: Event = { type: "unknown", reason: "disk full" };
const refused = (lost: boolean): Event => ({ type: "refused", reason: "no", lost, now: 0 });
const failed = (fault: "own" | "none" | "unclear"): Event => ({
  type: "worker_failed",
  reason: "it threw",
  fault,
  now: 0,
});

/** Where a list of events leads, and everything that was asked for on the way. */
function lived(...events: Event[]): { state: Activation; actions: Action[] } {
  let state: Activation = RELEASED;
  const actions: Action[] = [];
  for (const event of events) {
    const next = transition(state, event);
    state = next.state;
    actions.push(...next.actions);
  }
  return { state, actions };
}

const done = (actions: readonly Action[]) => actions.map((action) => action.do);
const times = (actions: readonly Action[], what: Action["do"]) =>
  actions.filter((action) => action.do === what).length;

Deno.test("a supervisor that waits for a slot and is called urgently leaves the schedule and is claimed once", () => {
  const { state, actions } = lived(woken, { type: "woken", runnable: urgent });
  assert.equal(state.at, "claiming");
  assert.deepEqual(done(actions), ["join", "quit", "claim"]);
  // Were it picked all the same, nothing would come of it.
  assert.deepEqual(transition(state, { type: "picked" }), { state, actions: [] });
});

Deno.test("an actor that is called while it is claimed is claimed once and looks at its mailbox again", () => {
  const { state, actions } = lived(
    woken,
    { type: "picked" },
    woken,
    { type: "woken", runnable: urgent },
    claimed(1, null),
  );
  assert.equal(state.at, "taking");
  assert.equal(times(actions, "claim"), 1);
});

Deno.test("an actor that is called urgently while it is let go of is claimed at once afterwards", () => {
  const { state, actions } = lived(
    woken,
    { type: "picked" },
    claimed(1, null),
    { type: "woken", runnable: urgent },
    woken,
    { type: "passivated", due: false },
  );
  assert.equal(state.at, "claiming");
  assert.deepEqual(done(actions).slice(-3), ["leave_slot", "passivate", "claim"]);
});

const running = [woken, { type: "picked" }, claimed()] as const satisfies readonly Event[];

Deno.test("an actor with nothing to do and nothing performed is let go of, off its worker and its slot", () => {
  const { state, actions } = lived(...running, stepped, settled);
  assert.equal(state.at, "passivating");
  assert.deepEqual(done(actions).slice(-3), ["stop_worker", "leave_slot", "passivate"]);
});

Deno.test("an actor whose model is asked stays until the last effect is over", () => {
  const asked: Event = {
    type: "settled",
    due: [effect, { ...effect, key: "e/01" }],
    delivered: null,
  };
  const idle = lived(...running, stepped, asked);
  assert.equal(idle.state.at, "idle");
  const over: Event = { type: "effect_done", epoch: 1 };
  const again = lived(...running, stepped, asked, over, taken);
  assert.equal(again.state.at, "idle");
  assert.equal(lived(...running, stepped, asked, over, taken, over, taken).state.at, "passivating");
});

Deno.test("an effect of an earlier claim that comes to its end counts for nothing", () => {
  const asked: Event = { type: "settled", due: [effect], delivered: null };
  const { state } = lived(...running, stepped, asked);
  assert.deepEqual(transition(state, { type: "effect_done", epoch: 0 }).state, state);
});

Deno.test("a failure that was none of an actor's fault takes its attempt back and is tried at once", () => {
  const { state } = lived(woken, { type: "picked" }, claimed(1, ATTEMPTS_MAX), failed("none"));
  assert.ok(state.at === "retrying");
  assert.deepEqual(state.back, { id: "e", due_at: 0, attempts: ATTEMPTS_MAX - 1 });
  assert.equal(state.held.suspect, false);
});

Deno.test("an actor that may have killed its cell is tried again alone, until a step of it is settled", () => {
  const put_back: Event = { type: "put_back", now: 0 };
  const first: Event = { type: "taken", due: [], delivered: envelope() };
  const suspected = lived(...running, failed("unclear"), put_back, { type: "tick" }, first);
  assert.ok(suspected.state.at === "running" && suspected.state.held.suspect);
  const more: Event = { type: "settled", due: [], delivered: envelope() };
  const { state } = transition(transition(suspected.state, stepped).state, more);
  assert.ok(state.at === "running" && !state.held.suspect);
});

Deno.test("an actor's own failure is tried again later, and its last one is buried", () => {
  const { state } = lived(...running, failed("own"));
  assert.ok(state.at === "retrying");
  assert.deepEqual(state.back, { id: "e", due_at: RETRY_FIRST_MS, attempts: 1 });
  const last = lived(woken, { type: "picked" }, claimed(1, ATTEMPTS_MAX), failed("own"));
  assert.ok(last.state.at === "burying");
  assert.equal(last.state.reason, `Failed ${ATTEMPTS_MAX} times at hint: it threw`);
  const { state: end, actions } = transition(last.state, { type: "buried" });
  assert.equal(end.at, "released");
  assert.deepEqual(done(actions), ["stop_worker", "leave_slot", "abort"]);
});

Deno.test("a worker that dies while its answer is settled changes nothing about that", () => {
  const { state } = lived(...running, stepped);
  assert.deepEqual(transition(state, failed("own")), { state, actions: [] });
});

/** Each commit, as the events that lead to it. */
const COMMITS: Record<string, readonly Event[]> = {
  claiming: [woken, { type: "picked" }],
  taking: [woken, { type: "picked" }, woken, claimed(1, null)],
  settling: [...running, stepped],
  retrying: [...running, failed("own")],
  burying: [woken, { type: "picked" }, claimed(1, ATTEMPTS_MAX), failed("own")],
  passivating: [woken, { type: "picked" }, claimed(1, null)],
};

for (const [at, events] of Object.entries(COMMITS)) {
  Deno.test(`a commit while ${at} whose outcome is unknown is tried until it is known, and said once`, () => {
    let { state } = lived(...events);
    const asked = done(lived(...events).actions).at(-1)!;
    const pauses: number[] = [];
    let lines = 0;
    for (let attempt = 0; attempt < 12; attempt++) {
      assert.equal(state.at, at);
      const lost = transition(state, unknown);
      lines += times(lost.actions, "log");
      pauses.push(
        ...lost.actions.flatMap((action) => action.do === "again_after" ? [action.ms] : []),
      );
      const again = transition(lost.state, { type: "tick" });
      assert.deepEqual(done(again.actions), [asked]);
      state = again.state;
    }
    assert.equal(lines, 1);
    assert.equal(pauses[0], RETRY_FIRST_MS);
    assert.equal(pauses.at(-1), COMMIT_RETRY_MAX_MS);
    assert.equal(pauses.length, 12);
  });
}

Deno.test("a step that may have been settled by an attempt without an answer is found out by claiming anew", () => {
  const { state, actions } = lived(...running, stepped, unknown, { type: "tick" }, refused(true));
  assert.equal(state.at, "claiming");
  assert.deepEqual(done(actions).slice(-2), ["stop_worker", "claim"]);
  // It still has its slot.
  assert.equal(times(actions, "leave_slot"), 0);
});

Deno.test("a step whose claim is lost is worth nothing, and nothing is owed", () => {
  const { state, actions } = lived(...running, stepped, refused(true));
  assert.equal(state.at, "released");
  assert.deepEqual(done(actions).slice(-3), ["stop_worker", "leave_slot", "abort"]);
});

Deno.test("a step that a limit refuses is its actor's own failure", () => {
  const { state } = lived(...running, stepped, refused(false));
  assert.ok(state.at === "retrying");
  assert.equal(state.back.attempts, 1);
});

const ANYTHING: readonly Event[] = [
  woken,
  { type: "woken", runnable: urgent },
  { type: "picked" },
  claimed(1, null),
  claimed(2, 2),
  claimed(3, 3),
  taken,
  { type: "taken", due: [effect], delivered: null },
  { type: "taken", due: [], delivered: envelope(3) },
  stepped,
  { type: "stepped", step: { ...step, ending: { status: "done", result: null } } },
  settled,
  { type: "settled", due: [effect], delivered: envelope() },
  { type: "put_back", now: 1 },
  { type: "buried" },
  { type: "passivated", due: true },
  { type: "passivated", due: false },
  refused(true),
  refused(false),
  unknown,
  failed("own"),
  failed("none"),
  failed("unclear"),
  { type: "effect_done", epoch: 1 },
  { type: "tick" },
  { type: "dropped" },
  { type: "stopped" },
];

/** What only a commit under way brings. */
const ANSWERS = ["claimed", "taken", "settled", "put_back", "buried", "passivated"];
const BRINGS: Partial<Record<Action["do"], string>> = {
  claim: "claimed",
  take: "taken",
  settle: "settled",
  put_back: "put_back",
  bury: "buried",
  passivate: "passivated",
};

Deno.test("whatever happens to an actor, one commit of it is under way and it holds one slot or none", () => {
  let seed = 7;
  const random = (below: number) => (seed = seed * 48_271 % 2_147_483_647) % below;
  const reached = new Set<string>();
  for (let life = 0; life < 3_000; life++) {
    let state: Activation = RELEASED;
    let under_way: string | null = null;
    let [pausing, queued, slot] = [false, false, false];
    for (let turn = 0; turn < 40; turn++) {
      const event = ANYTHING[random(ANYTHING.length)];
      const answer = ANSWERS.includes(event.type);
      if (answer && under_way !== event.type) continue;
      if ((event.type === "refused" || event.type === "unknown") && !under_way) continue;
      if (event.type === "tick" && !pausing) continue;
      if (event.type === "picked") {
        if (!queued) continue;
        [queued, slot] = [false, true];
      }
      if (answer || event.type === "refused" || event.type === "unknown") under_way = null;
      // What comes back to one that was dropped is told to nobody.
      if (event.type === "dropped") under_way = null;
      const before = state.at;
      const next = transition(state, event);
      state = next.state;
      reached.add(state.at);
      if (state.at !== before || event.type === "tick") pausing = false;
      for (const action of next.actions) {
        switch (action.do) {
          case "join":
            assert.ok(!queued);
            queued = true;
            break;
          case "quit":
            assert.ok(queued);
            queued = false;
            break;
          case "leave_slot":
            assert.ok(slot, `${before} and ${event.type}: a slot is left that it does not hold`);
            slot = false;
            break;
          case "again_after":
            pausing = true;
            break;
          default:
            if (!(action.do in BRINGS)) break;
            assert.equal(under_way, null, `${before} and ${event.type}: two commits at once`);
            under_way = BRINGS[action.do]!;
        }
      }
      assert.equal(queued, state.at === "waiting");
      if (state.at === "released") assert.ok(!slot && !under_way, `${before} and ${event.type}`);
      // Nothing is forgotten: it commits, or it has asked to be called again.
      if ("failures" in state) assert.ok(under_way !== null || pausing, state.at);
    }
  }
  assert.deepEqual([...reached].sort(), [
    "burying",
    "claiming",
    "idle",
    "passivating",
    "released",
    "resting",
    "retrying",
    "running",
    "settling",
    "taking",
    "waiting",
  ]);
});
