import assert from "node:assert/strict";
import agent, { type AgentMessage, type AgentState } from "../../actors/agent.ts";
import { type Next, replay } from "../../runtime/core/actor.ts";
import {
  CALLS_PER_TURN_MAX,
  END_NUDGES_MAX,
  REPEATED_CALLS_MAX,
  RESULT_BYTES_MAX,
} from "../../runtime/core/limits.ts";
import { NO_USAGE } from "../../runtime/core/model/messages.ts";
import type { Effect } from "../../runtime/core/protocol.ts";

type Call = [id: string, name: string, input?: unknown];

const started = (more: Partial<AgentMessage & { type: "task.started" }> = {}): AgentMessage => ({
  type: "task.started",
  agent: "generalist",
  instruction: "Count the sheep",
  purpose: "subtask",
  turns_max: 50,
  after_task: false,
  ...more,
});

const calls = (turn: number, ...made: Call[]): AgentMessage => ({
  type: "model.replied",
  turn,
  model: "test",
  content: made.map(([id, name, input = {}]) => ({ type: "tool_use", id, name, input })),
  stop_reason: "tool_use",
  usage: { ...NO_USAGE, input_tokens: 1, output_tokens: 1 },
});

const says = (
  turn: number,
  text: string,
  stop_reason: "end_turn" | "refusal" = "end_turn",
): AgentMessage => ({
  type: "model.replied",
  turn,
  model: "test",
  content: text ? [{ type: "text", text }] : [],
  stop_reason,
  usage: { ...NO_USAGE, input_tokens: 1, output_tokens: 1 },
});

const result = (call_id: string, content = "ok"): AgentMessage => ({
  type: "tool.replied",
  call_id,
  content,
});

const success = (turn: number, text = "42"): AgentMessage =>
  calls(turn, ["end", "end_task", { status: "success", result: text }]);

/** Runs messages through the agent; what the last one led to. */
function after(...messages: AgentMessage[]): Next<AgentState> {
  let last: Next<AgentState> = { state: agent.initial, effects: [] };
  for (const message of messages) last = agent.receive(last.state, message);
  return last;
}

const kinds = ({ effects }: Next<AgentState>) => effects.map(({ type }) => type);

function notes({ effects }: Next<AgentState>) {
  return effects.filter((effect): effect is Effect & { type: "note" } => effect.type === "note")
    .map(({ message }) => message);
}

function ignores(messages: AgentMessage[], stray: AgentMessage): void {
  const before = after(...messages);
  const ignored = agent.receive(before.state, stray);
  assert.deepEqual(ignored.state, before.state);
  assert.deepEqual(ignored.effects, []);
  assert.equal(ignored.ending, undefined);
}

Deno.test("a task that starts asks the model for its first turn", () => {
  const { state, effects } = after(started());
  assert.equal(state.phase, "thinking");
  assert.deepEqual(effects, [{ type: "ask_model", turn: 1 }]);
});

Deno.test("the calls of a turn are made side by side, and the next turn waits for all results", () => {
  const acting = after(started(), calls(1, ["a", "read_file", { path: "x" }], ["b", "list_files"]));
  assert.equal(acting.state.phase, "acting");
  assert.deepEqual(acting.effects, [
    { type: "call_tool", call_id: "a", name: "read_file", input: { path: "x" } },
    { type: "call_tool", call_id: "b", name: "list_files", input: {} },
  ]);
  const half = agent.receive(acting.state, result("b"));
  assert.deepEqual(half.effects, []);
  const whole = agent.receive(half.state, result("a"));
  assert.deepEqual(whole.effects, [{ type: "ask_model", turn: 2 }]);
});

Deno.test("end_task alone with success ends the task as done", () => {
  const { state, ending } = after(started(), success(1, "seven"));
  assert.equal(state.phase, "ended");
  assert.deepEqual(ending, { status: "done", result: "seven" });
});

Deno.test("end_task alone with failure ends the task as failed, with its first line for a reason", () => {
  const failure = { status: "failure", result: "No sheep here\nand no shepherd" };
  const { ending } = after(started(), calls(1, ["end", "end_task", failure]));
  assert.deepEqual(ending, {
    status: "failed",
    result: "No sheep here\nand no shepherd",
    reason: "No sheep here",
  });
});

Deno.test("end_task beside other calls is refused, and the others are made", () => {
  const acting = after(
    started(),
    calls(1, ["a", "list_files"], ["end", "end_task", { status: "success", result: "x" }]),
  );
  assert.equal(acting.ending, undefined);
  assert.deepEqual(kinds(acting), ["call_tool", "note"]);
  assert.equal(notes(acting)[0].call_id, "end");
  assert.equal(notes(acting)[0].is_error, true);
  assert.deepEqual(Object.keys(acting.state.pending), ["a"]);
});

Deno.test("two calls of end_task in one turn are both refused and the model is asked again", () => {
  const input = { status: "success", result: "x" };
  const again = after(started(), calls(1, ["a", "end_task", input], ["b", "end_task", input]));
  assert.equal(again.ending, undefined);
  assert.deepEqual(kinds(again), ["note", "note", "ask_model"]);
  assert.equal(again.state.turn, 2);
});

for (
  const [what, input] of [
    ["no arguments", undefined],
    ["null for arguments", null],
    ["an unknown status", { status: "done", result: "x" }],
    ["no result", { status: "success" }],
    ["a result that is not text", { status: "success", result: 42 }],
    ["a result over the limit", { status: "success", result: "x".repeat(RESULT_BYTES_MAX + 1) }],
  ] as [string, unknown][]
) {
  Deno.test(`end_task with ${what} is refused and the model is asked again`, () => {
    const reply = {
      ...calls(1),
      content: [{ type: "tool_use", id: "end", name: "end_task", input }],
    };
    const again = after(started(), reply as unknown as AgentMessage);
    assert.equal(again.ending, undefined);
    assert.deepEqual(kinds(again), ["note", "ask_model"]);
    assert.equal(notes(again)[0].call_id, "end");
    assert.equal(notes(again)[0].is_error, true);
  });
}

Deno.test("a result at the limit is accepted", () => {
  const { ending } = after(started(), success(1, "x".repeat(RESULT_BYTES_MAX)));
  assert.equal(ending?.status, "done");
});

Deno.test("a reply without a call is answered with a reminder, and the last one is the result", () => {
  const messages: AgentMessage[] = [started()];
  for (let turn = 1; turn <= END_NUDGES_MAX; turn++) {
    messages.push(says(turn, "I think it is 7"));
    const reminded = after(...messages);
    assert.deepEqual(kinds(reminded), ["note", "ask_model"]);
    assert.equal(notes(reminded)[0].type, "reminder");
  }
  const { ending } = after(...messages, says(END_NUDGES_MAX + 1, "It is 7"));
  assert.equal(ending?.status, "done");
  assert.equal(ending?.result, "It is 7");
  assert.match(ending?.reason ?? "", /without end_task/);
});

Deno.test("a call in between sets the count of reminders back", () => {
  const messages = [started(), says(1, "hm"), calls(2, ["a", "list_files"]), result("a")];
  const { ending } = after(...messages, says(3, "hm"), says(4, "hm"));
  assert.equal(ending, undefined);
});

Deno.test("a task that has used up its turns fails with the limit as its reason", () => {
  const { ending, effects } = after(
    started({ turns_max: 2 }),
    calls(1, ["a", "list_files"]),
    result("a"),
    calls(2, ["b", "list_files"]),
    result("b", "other"),
  );
  assert.deepEqual(effects, []);
  assert.deepEqual(ending, {
    status: "failed",
    result: null,
    reason: "Stopped after 2 turns, the limit of this task",
  });
});

Deno.test("a task may end in its last turn", () => {
  assert.equal(after(started({ turns_max: 1 }), success(1)).ending?.status, "done");
});

Deno.test("a refusal of the model fails the task with the model's words", () => {
  const { ending } = after(started(), says(1, "I will not", "refusal"));
  assert.deepEqual(ending, {
    status: "failed",
    result: null,
    reason: "The model refused: I will not",
  });
});

Deno.test("a model that failed fails the task with its reason", () => {
  const failure: AgentMessage = { type: "model.failed", turn: 1, reason: "no credit" };
  assert.deepEqual(after(started(), failure).ending, {
    status: "failed",
    result: null,
    reason: "no credit",
  });
});

Deno.test("calls over the limit of one turn are refused one by one", () => {
  const many = Array.from({ length: CALLS_PER_TURN_MAX + 2 }, (_, at): Call => [
    `c${at}`,
    "list_files",
  ]);
  const acting = after(started(), calls(1, ...many));
  assert.equal(Object.keys(acting.state.pending).length, CALLS_PER_TURN_MAX);
  assert.deepEqual(notes(acting).map(({ call_id }) => call_id), [
    `c${CALLS_PER_TURN_MAX}`,
    `c${CALLS_PER_TURN_MAX + 1}`,
  ]);
});

Deno.test("a nudge drops the question in flight and asks again under a new turn", () => {
  const nudged = after(started(), { type: "nudge", text: "Go on" });
  assert.deepEqual(nudged.effects, [{ type: "drop_effects" }, { type: "ask_model", turn: 2 }]);
  assert.equal(nudged.state.turn, 2);
});

Deno.test("a reply to a question that was dropped by a nudge is ignored", () => {
  ignores([started(), { type: "nudge", text: "Go on" }], success(1));
});

Deno.test("a failure of a question that was dropped by a nudge is ignored", () => {
  ignores([started(), { type: "nudge", text: "Go on" }], {
    type: "model.failed",
    turn: 1,
    reason: "called off",
  });
});

Deno.test("a nudge while tools or children are at work changes nothing", () => {
  ignores([started(), calls(1, ["a", "start_subtask"])], { type: "nudge", text: "Go on" });
});

Deno.test("a second reply to one question is ignored", () => {
  ignores([started(), calls(1, ["a", "list_files"])], success(1));
});

Deno.test("a result of an unknown call is ignored", () => {
  ignores([started(), calls(1, ["a", "list_files"])], result("b"));
  ignores([started()], result("a"));
});

Deno.test("a second result of one call is ignored", () => {
  ignores(
    [started(), calls(1, ["a", "list_files"], ["b", "list_files"]), result("a")],
    result("a"),
  );
});

Deno.test("a result for a call named like a member of every object is ignored", () => {
  for (const id of ["constructor", "toString", "__proto__"]) ignores([started()], result(id));
});

Deno.test("a call whose id is __proto__ is waited for like any other", () => {
  const reply = after(started(), calls(1, ["__proto__", "list_files"]));
  assert.deepEqual(kinds(reply), ["call_tool"]);
  assert.deepEqual(kinds(agent.receive(reply.state, result("__proto__"))), ["ask_model"]);
});

/** The same call with the same result, so many times. */
function repeating(times: number, name = "list_files"): AgentMessage[] {
  return [
    started(),
    ...Array.from({ length: times }, (_, at) => [
      calls(at + 1, [`c${at}`, name]),
      result(`c${at}`, "same"),
    ]).flat(),
  ];
}

Deno.test("the last but one repetition of a call is answered with a warning", () => {
  const warned = after(...repeating(REPEATED_CALLS_MAX - 1));
  assert.deepEqual(kinds(warned), ["note", "ask_model"]);
  assert.equal(warned.state.phase, "thinking");
});

Deno.test("the same call with the same result too often in a row counts as stuck", () => {
  const stuck = after(...repeating(REPEATED_CALLS_MAX));
  assert.equal(stuck.state.phase, "stuck");
  assert.deepEqual(kinds(stuck), ["stuck"]);
});

Deno.test("a call with another result in between is no repetition", () => {
  const messages = repeating(REPEATED_CALLS_MAX - 1);
  const turn = REPEATED_CALLS_MAX;
  messages.push(calls(turn, ["x", "list_files"]), result("x", "another"));
  messages.push(calls(turn + 1, ["y", "list_files"]), result("y", "same"));
  assert.equal(after(...messages).state.phase, "thinking");
});

Deno.test("a hint or a nudge lets a stuck agent think again", () => {
  const messages = repeating(REPEATED_CALLS_MAX);
  const hinted = after(...messages, { type: "hint", text: "Try another folder" });
  assert.deepEqual(kinds(hinted), ["ask_model"]);
  const nudged = after(...messages, { type: "nudge", text: "Go on" });
  assert.deepEqual(kinds(nudged), ["drop_effects", "ask_model"]);
});

Deno.test("a stuck agent that hears what came too late says once more that it is stuck", () => {
  const late = after(...repeating(REPEATED_CALLS_MAX), result("x", "too late"));
  assert.equal(late.state.phase, "stuck");
  assert.deepEqual(kinds(late), ["stuck"]);
});

Deno.test("a hint does not disturb a turn in progress", () => {
  ignores([started()], { type: "hint", text: "Hurry" });
  ignores([started(), calls(1, ["a", "list_files"])], { type: "hint", text: "Hurry" });
});

const closing = [started({ after_task: true }), success(1, "seven")];
const summary = (more: Partial<AgentMessage & { type: "child.ended" }>): AgentMessage => ({
  type: "child.ended",
  task_id: "S",
  purpose: "summary",
  status: "done",
  result: "A short seven",
  ...more,
});

Deno.test("a task with after-task agents starts the three of them and does not end yet", () => {
  const { state, effects, ending } = after(...closing);
  assert.equal(ending, undefined);
  assert.equal(state.phase, "closing");
  assert.deepEqual(
    effects.map((effect) => effect.type === "start_child" && [effect.purpose, effect.agent]),
    [
      ["evaluation", "task_evaluator"],
      ["documentation", "documentation_agent"],
      ["summary", "summary_agent"],
    ],
  );
  for (const effect of effects) {
    assert.ok(effect.type === "start_child");
    assert.match(effect.instruction, /Count the sheep/);
    assert.match(effect.instruction, /<status>done<\/status>/);
    assert.match(effect.instruction, /<result>seven<\/result>/);
  }
});

Deno.test("the task ends with its result and the summary once the summary agent has ended", () => {
  const { ending } = after(...closing, summary({}));
  assert.deepEqual(ending, { status: "done", result: "seven", summary: "A short seven" });
});

Deno.test("the end of the evaluator does not end the task", () => {
  ignores(closing, summary({ purpose: "evaluation" }));
  ignores(closing, summary({ purpose: "documentation" }));
});

Deno.test("a summary that failed leaves the result as it is", () => {
  const { ending } = after(...closing, summary({ status: "failed", result: null }));
  assert.deepEqual(ending, { status: "done", result: "seven" });
});

Deno.test("a failed task with after-task agents still fails after its summary", () => {
  const failed: AgentMessage = { type: "model.failed", turn: 1, reason: "no credit" };
  const { ending } = after(started({ after_task: true }), failed, summary({ result: "It broke" }));
  assert.deepEqual(ending, {
    status: "failed",
    result: null,
    reason: "no credit",
    summary: "It broke",
  });
});

Deno.test("a nudge or a late reply does not disturb a task that is closing", () => {
  ignores(closing, { type: "nudge", text: "Go on" });
  ignores(closing, success(1, "eight"));
});

Deno.test("a journal replayed gives the state that its messages led to", () => {
  const journals = [
    [started()],
    repeating(REPEATED_CALLS_MAX),
    [...closing, summary({})],
    [started(), calls(1, ["a", "list_files"], ["b", "list_files"]), result("b")],
    [started(), { type: "nudge", text: "Go on" } as AgentMessage, success(1), says(2, "hm")],
  ];
  for (const journal of journals) {
    // As from the database: every message has been JSON in between.
    const written = journal.map((message) => JSON.parse(JSON.stringify(message)) as AgentMessage);
    assert.deepEqual(replay(agent, written), after(...journal).state);
  }
});

Deno.test("the state survives JSON between any two steps", () => {
  const journal = [...repeating(REPEATED_CALLS_MAX - 1), success(REPEATED_CALLS_MAX)];
  let state = agent.initial;
  for (const message of journal) {
    state = JSON.parse(JSON.stringify(agent.receive(state, message).state));
  }
  assert.deepEqual(state, after(...journal).state);
});
