/**
 * The universal agent. Every agent of every kind is this actor; what tells them apart is data in the
 * prompt. It turns replies of the model into effects, and outcomes into the next question.
 */
import { type Actor, actor, type Next, next, stop } from "../runtime/core/actor.ts";
import {
  CALLS_PER_TURN_MAX,
  END_NUDGES_MAX,
  FIRST_LINE_CHARS_MAX,
  INSTRUCTION_BYTES_MAX,
  REPEATED_CALLS_MAX,
  RESULT_BYTES_MAX,
} from "../runtime/core/limits.ts";
import {
  callsOf,
  type ModelReply,
  type StopReason,
  textOf,
  type ToolUseBlock,
} from "../runtime/core/model/messages.ts";
import type { ChildPurpose, Effect, Ending, Purpose } from "../runtime/core/protocol.ts";

import { fits, headAndTailInBytes } from "../runtime/core/text.ts";

export type AgentMessage =
  | {
    type: "task.started";
    agent: string;
    instruction: string;
    purpose: Purpose;
    turns_max: number;
    after_task: boolean;
  }
  | ({ type: "model.replied"; turn: number } & ModelReply)
  | { type: "model.failed"; turn: number; reason: string; partial?: string }
  | { type: "context.compacted"; turn: number; covers: number; summary: string }
  | { type: "tool.replied"; call_id: string; content: string; is_error?: boolean }
  | {
    type: "child.ended";
    task_id: string;
    purpose: Purpose;
    status: Ending["status"];
    result: string | null;
    reason?: string;
  }
  | { type: "hint"; text: string }
  | { type: "nudge"; text: string };

export interface AgentState {
  readonly phase: "new" | "thinking" | "acting" | "stuck" | "closing" | "ended";
  readonly instruction: string;
  /** Counts the questions to the model; an answer to an older one is ignored. */
  readonly turn: number;
  readonly turns_max: number;
  readonly after_task: boolean;
  /** Calls of this turn that are not answered yet. */
  readonly pending: Readonly<Record<string, { name: string; print: string }>>;
  /** Replies in a row without a call, each answered with a reminder. */
  readonly reminders: number;
  /** The last call with its result, and how often it came in a row. */
  readonly repeated: { readonly print: string; readonly times: number };
  /** What the task ends with, while its after-task agents run. */
  readonly ending: Ending | null;
}

type Received = AgentMessage;

const agent: Actor<AgentState, Received> = actor<AgentState, Received>({
  kind: "agent",
  restart: "transient",
  initial: {
    phase: "new",
    instruction: "",
    turn: 0,
    turns_max: 0,
    after_task: false,
    pending: {},
    reminders: 0,
    repeated: { print: "", times: 0 },
    ending: null,
  },

  receive(state, message): Next<AgentState> {
    switch (message.type) {
      case "task.started": {
        const { instruction, turns_max, after_task } = message;
        return think({ ...state, instruction, turns_max, after_task });
      }
      case "model.replied":
        if (state.phase !== "thinking" || message.turn !== state.turn) return ignore(state);
        return onReply(state, message);
      case "model.failed":
        if (state.phase !== "thinking" || message.turn !== state.turn) return ignore(state);
        return close(state, {
          status: "failed",
          result: message.partial ?? null,
          reason: message.reason,
        });
      case "context.compacted":
        if (state.phase !== "thinking" || message.turn !== state.turn) return ignore(state);
        // The same turn once more, now with a conversation that fits.
        return next(state, { type: "ask_model", turn: state.turn });
      case "tool.replied":
        if (!Object.hasOwn(state.pending, message.call_id)) return ignore(state);
        return onToolReply(state, message);
      case "child.ended":
        if (state.phase !== "closing" || message.purpose !== "summary") return ignore(state);
        return stop(ended(state), withSummary(state.ending!, message));
      case "hint":
        // Part of the conversation from the next turn on; a turn in progress is not thrown away.
        return state.phase === "stuck" ? think(state) : next(state);
      case "nudge":
        return onNudge(state);
    }
  },
});

export default agent;

/** What came too late changes nothing; but who is stuck says so again, or nobody would hear of it any more. */
function ignore(state: AgentState): Next<AgentState> {
  return state.phase === "stuck"
    ? next(state, { type: "stuck", reason: "Still stuck: nothing came that helps" })
    : next(state);
}

/** Asks the model for the next turn, unless the task has used up its turns. */
function think(state: AgentState, ...effects: Effect[]): Next<AgentState> {
  if (state.turn >= state.turns_max) {
    const reason = `Stopped after ${state.turns_max} turns, the limit of this task`;
    return close(state, { status: "failed", result: null, reason }, ...effects);
  }
  const turn = state.turn + 1;
  return next({ ...state, phase: "thinking", turn, pending: {} }, ...effects, {
    type: "ask_model",
    turn,
  });
}

function onReply(state: AgentState, reply: ModelReply): Next<AgentState> {
  if (reply.stop_reason === "refusal") {
    const reason = `The model refused: ${textOf(reply.content) || "it gave no reason"}`;
    return close(state, { status: "failed", result: null, reason });
  }
  // The provider's own tools want another round: the same conversation, asked again.
  if (reply.stop_reason === "pause_turn") return think(state);
  const calls = callsOf(reply.content);
  if (calls.length === 0 && CUT_OFF.includes(reply.stop_reason)) {
    const text = "Your reply was cut off at its limit. Go on where it ended, in smaller steps.";
    return think(state, { type: "note", message: { type: "reminder", text } });
  }
  if (calls.length === 0) return onTextOnly(state, textOf(reply.content));
  const [first] = calls;
  const alone = calls.length === 1 && first.broken === undefined;
  if (alone && first.name === "end_task") return onEndTask(state, first);
  return act({ ...state, reminders: 0 }, calls);
}

/** Such a reply ended before the model wanted to; at the window's end older turns are summarised next. */
const CUT_OFF: readonly StopReason[] = ["max_tokens", "model_context_window_exceeded"];

/** A reply without a call: reminds of `end_task`, and at last takes the text for the result. */
function onTextOnly(state: AgentState, said: string): Next<AgentState> {
  if (state.reminders < END_NUDGES_MAX) {
    const text = "You have not called a tool. Go on with your task, or finish it with end_task.";
    return think({ ...state, reminders: state.reminders + 1 }, {
      type: "note",
      message: { type: "reminder", text },
    });
  }
  const reason = "Ended without end_task: the last reply was taken as the result";
  return close(state, { status: "done", result: said, reason });
}

function onEndTask(state: AgentState, { id, input }: ToolUseBlock): Next<AgentState> {
  // A model's arguments may be anything: what they are is looked at below.
  const { status, result } = (input ?? {}) as Record<string, unknown>;
  if ((status !== "success" && status !== "failure") || typeof result !== "string") {
    return think(
      state,
      refuse(id, 'end_task takes status "success" or "failure" and result as text'),
    );
  }
  if (!fits(result, RESULT_BYTES_MAX)) {
    return think(
      state,
      refuse(id, `The result is longer than ${RESULT_BYTES_MAX} bytes of JSON: write it to a file`),
    );
  }
  return close(
    state,
    status === "success"
      ? { status: "done", result }
      : { status: "failed", result, reason: firstLine(result) },
  );
}

/** Makes the calls of one turn side by side. */
function act(state: AgentState, calls: readonly ToolUseBlock[]): Next<AgentState> {
  const effects: Effect[] = [];
  const pending: Record<string, { name: string; print: string }> = {};
  calls.forEach(({ id, name, input, broken }, index) => {
    if (broken !== undefined) {
      effects.push(refuse(id, `The arguments are not a JSON object: ${firstLine(broken)}`));
    } else if (name === "end_task") {
      effects.push(refuse(id, "end_task must be alone in its turn: call it after the others"));
    } else if (index >= CALLS_PER_TURN_MAX) {
      effects.push(refuse(id, `More than ${CALLS_PER_TURN_MAX} calls in one turn`));
    } else {
      pending[id] = { name, print: fingerprint(`${name} ${JSON.stringify(input)}`) };
      effects.push({ type: "call_tool", call_id: id, name, input });
    }
  });
  if (Object.keys(pending).length === 0) return think(state, ...effects);
  return next({ ...state, phase: "acting", pending }, ...effects);
}

function onToolReply(
  state: AgentState,
  reply: Extract<AgentMessage, { type: "tool.replied" }>,
): Next<AgentState> {
  const { [reply.call_id]: answered, ...pending } = state.pending;
  const print = fingerprint(`${answered.print} → ${reply.content}`);
  const times = print === state.repeated.print ? state.repeated.times + 1 : 1;
  const after: AgentState = { ...state, pending, repeated: { print, times } };
  if (Object.keys(pending).length > 0) return next(after);
  if (times >= REPEATED_CALLS_MAX) {
    const reason = `The same call of ${answered.name} gave the same result ${times} times in a row`;
    return next({ ...after, phase: "stuck" }, { type: "stuck", reason });
  }
  if (times !== REPEATED_CALLS_MAX - 1) return think(after);
  return think(after, {
    type: "note",
    message: {
      type: "reminder",
      text: `You have made the same call ${times} times with the same result. Do something else.`,
    },
  });
}

/** No progress was seen for too long: the question in flight is dropped and asked again. */
function onNudge(state: AgentState): Next<AgentState> {
  if (state.phase !== "thinking" && state.phase !== "stuck") return next(state);
  return think(state, { type: "drop_effects" });
}

/** Ends the task; with after-task agents the parent is told once the summary is there. */
function close(state: AgentState, end: Ending, ...effects: Effect[]): Next<AgentState> {
  const ending = fitted(end);
  if (!state.after_task) return stop(ended(state), ending, ...effects);
  const about = (purpose: ChildPurpose, agent: string): Effect => ({
    type: "start_child",
    purpose,
    agent,
    instruction: afterTaskInstruction(state.instruction, ending, purpose),
  });
  return next(
    { ...state, phase: "closing", pending: {}, ending },
    ...effects,
    about("evaluation", "task_evaluator"),
    about("documentation", "documentation_agent"),
    about("summary", "summary_agent"),
  );
}

const AFTER_TASK: Partial<Record<Purpose, string>> = {
  evaluation: "Evaluate how well this finished task was done.",
  documentation: "Keep what was learnt in this finished task, if anything is worth keeping.",
  summary: "Summarise this finished task for the agent that asked for it.",
};

/** A reply that is taken for a result, or a fault's reason, has no bound of its own. */
function fitted(ending: Ending): Ending {
  const { result, reason } = ending;
  const cut = (text: string) => headAndTailInBytes(text, RESULT_BYTES_MAX, leftOut);
  return {
    ...ending,
    result: result === null ? null : cut(result),
    ...reason === undefined ? {} : { reason: cut(reason) },
  };
}

function leftOut(characters: number): string {
  return `… ${characters} characters are left out …`;
}

/** The performer adds the tail of the journal, which the agent itself does not hold. */
function afterTaskInstruction(instruction: string, ending: Ending, purpose: Purpose): string {
  return [
    AFTER_TASK[purpose],
    // Its own may have followed from another task's already.
    `<instruction>${headAndTailInBytes(instruction, INSTRUCTION_BYTES_MAX, leftOut)}</instruction>`,
    `<status>${ending.status}</status>`,
    `<result>${ending.result ?? ending.reason ?? ""}</result>`,
  ].join("\n");
}

/** A summary that failed is no reason to keep the parent from the result. */
function withSummary(
  ending: Ending,
  child: Extract<AgentMessage, { type: "child.ended" }>,
): Ending {
  return child.status === "done" && child.result ? { ...ending, summary: child.result } : ending;
}

function ended(state: AgentState): AgentState {
  return { ...state, phase: "ended", pending: {} };
}

/** An answer that the agent gives to a call of the model itself. */
function refuse(call_id: string, content: string): Effect {
  return { type: "note", message: { type: "tool.replied", call_id, content, is_error: true } };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0].slice(0, FIRST_LINE_CHARS_MAX);
}

/** A short print of a text (FNV-1a, 32 bit), so that the state stays small. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return `${text.length}:${(hash >>> 0).toString(36)}`;
}
