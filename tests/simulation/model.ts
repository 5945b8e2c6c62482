/**
 * The model of the simulation: follows the plan that a task's instruction is, plays the system's own agents,
 * and may give nothing, be slow, be silent, or go down with its gateway.
 */
import agent, { type AgentMessage, type AgentState } from "../../actors/agent.ts";
import type { Ports } from "../../runtime/boot.ts";
import type {
  ModelCall,
  ModelFailure,
  ModelReply,
  ReplyBlock,
  ToolResultBlock,
} from "../../runtime/core/model/messages.ts";
import type { Purpose } from "../../runtime/core/protocol.ts";
import type { Database } from "./database.ts";
import type { Call, Plan, Turn } from "./plan.ts";
import type { World } from "./world.ts";

interface Asked {
  readonly purpose: Purpose;
  readonly instruction: string;
  /** Of its plan. */
  readonly turn: number;
  readonly request: ModelCall["request"];
}

/** How long a reply takes at the most, and how often it is heard meanwhile. */
const SLOW_MS = 4_000;
const PIECE_MS = 500;

export function model(world: World, database: Database): Ports["model"] {
  let end: (reason: string) => void = () => {};
  const under_way = new Set<(error: Error) => void>();
  /** Of turns that no reply comes for: how often they were asked. */
  const asked_before = new Map<string, number>();

  return {
    views: () => Promise.resolve([]),
    open: () => {
      const gone = Promise.withResolvers<string | null>();
      end = gone.resolve;
      return Promise.resolve({
        gone: gone.promise,
        stop: () => {
          gone.resolve(null);
          return Promise.resolve();
        },
      });
    },
    ask: (call, signal, onPiece) =>
      new Promise<ModelReply | ModelFailure>((resolve, reject) => {
        const named = `model for ${nameOf(call)}`;
        let callOff = () => {};
        const over = () => {
          callOff();
          under_way.delete(fail);
          signal.removeEventListener("abort", calledOff);
        };
        const fail = (error: Error) => {
          over();
          reject(error);
        };
        const calledOff = () => fail(signal.reason);
        if (signal.aborted) return calledOff();
        signal.addEventListener("abort", calledOff);
        under_way.add(fail);
        if (isSilent(call)) {
          callOff = world.offer(`${named}: too late`, call.deadline - world.now, () => {
            over();
            resolve({ failed: "the deadline is over", concerns: "late", waiting: false });
          });
          return;
        }
        const begun_at = world.now;
        const ms = world.between(50, SLOW_MS);
        const go = (): void => {
          const left = begun_at + ms - world.now;
          if (left > PIECE_MS) {
            callOff = world.offer(`${named}: a piece`, PIECE_MS, () => {
              onPiece({ type: "delta", text: "…" });
              go();
            });
            return;
          }
          callOff = world.offer(named, Math.max(0, left), () => {
            const { dying, killed } = database.weather;
            if (world.chance(dying)) return die();
            if (world.chance(killed)) return world.kill(`before ${named}`);
            over();
            resolve(answer(call));
          });
        };
        go();
      }),
  };

  function die(): void {
    for (const fail of [...under_way]) fail(new Error("The gateway died"));
    end("it was killed");
  }

  function nameOf({ task_id }: ModelCall): string {
    return `${task_id.slice(-4)} turn ${turnOf(task_id)}`;
  }

  /** How many of its replies the task took: one that came after a reminder is not followed. */
  function turnOf(task_id: string): number {
    const received = database.look<{ message_json: string }>(
      "SELECT message_json FROM entries WHERE task_id = ? AND received = 1 ORDER BY seq",
      task_id,
    );
    let state: AgentState = agent.initial;
    let turn = 0;
    for (const { message_json } of received) {
      const message: AgentMessage = JSON.parse(message_json);
      const waits = state.phase === "thinking";
      if (waits && message.type === "model.replied" && message.turn === state.turn) turn++;
      state = agent.receive(state, message).state;
    }
    return turn;
  }

  function askedOf({ task_id, request }: ModelCall): Asked {
    const [task] = database.look<{ purpose: Purpose; instruction: string }>(
      "SELECT purpose, instruction FROM tasks WHERE id = ?",
      task_id,
    );
    return { ...task, turn: turnOf(task_id), request };
  }

  function isSilent(call: ModelCall): boolean {
    const { purpose, instruction, turn } = askedOf(call);
    if (purpose !== "root" && purpose !== "subtask") return false;
    const planned = turnIn(instruction, turn);
    if (!planned || !("silent" in planned)) return false;
    const which = `${call.task_id} ${turn}`;
    const before = asked_before.get(which) ?? 0;
    asked_before.set(which, before + 1);
    return before < planned.silent;
  }

  function answer(call: ModelCall): ModelReply | ModelFailure {
    if (world.chance(database.weather.unanswered)) {
      const retry_after_ms = world.chance(30) ? world.between(0, 3_000) : null;
      return { failed: "overloaded", concerns: "again", retry_after_ms, limited: false };
    }
    const blocks = replyTo(askedOf(call));
    return {
      model: "scripted",
      content: blocks,
      stop_reason: blocks.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn",
      usage: {
        input_tokens: 100,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        output_tokens: 10,
        web_searches: 0,
      },
    };
  }

  function replyTo({ purpose, instruction, turn, request }: Asked): ReplyBlock[] {
    switch (purpose) {
      case "root":
      case "subtask": {
        const plan = planIn(instruction);
        const planned = turnIn(instruction, turn);
        return planned ? follow(planned) : [endTask(sumOf(plan, request))];
      }
      case "summary":
        return [endTask(/<result>(.*?)<\/result>/.exec(instruction)?.[1] ?? "nothing")];
      case "supervision":
        return supervise(request, turn);
      default:
        return [endTask("done")];
    }
  }

  /** It may ask a person first. */
  function supervise({ messages }: ModelCall["request"], turn: number): ReplyBlock[] {
    if (JSON.stringify(messages).includes('"resolve_task"')) return [endTask("resolved")];
    if (turn === 0 && world.chance(50)) {
      return [use("ask", "flag_for_review", { issue: "What now?", blocking: true })];
    }
    const action = world.pick(["retry", "hint", "cancel", "flag"]);
    return [use("resolve", "resolve_task", { action, comment: "It does not answer" })];
  }
}

function planIn(instruction: string): Plan {
  return JSON.parse(instruction);
}

/** A turn of the plan; undefined once there is nothing left but to end. */
function turnIn(instruction: string, turn: number): Turn | undefined {
  return planIn(instruction).turns[turn];
}

function follow(turn: Turn): ReplyBlock[] {
  if ("says" in turn) return [{ type: "text", text: turn.says }];
  if ("silent" in turn) return [use("late", "list_agents", {})];
  // Ids that come again in every turn, as of a model that counts anew each time.
  return turn.calls.map((call, index) => use(`call_${index}`, ...argumentsOf(call)));
}

function argumentsOf(call: Call): [string, Record<string, unknown>] {
  switch (call.tool) {
    case "start_subtask":
      return [call.tool, {
        agent_type: "generalist",
        task_instruction: JSON.stringify(call.plan),
      }];
    case "flag_for_review":
      return [call.tool, { issue: "May I go on?", blocking: call.blocking }];
    case "use_terminal":
      return [call.tool, { command: call.command, network: call.network }];
    case "attach_tool":
      return [call.tool, { name: "use_terminal" }];
    case "write_file":
      return [call.tool, { path: "a.txt", content: "a" }];
    case "list_agents":
    case "no_such_tool":
      return [call.tool, {}];
  }
}

/** Its own worth and that of each subtask, as their results say. */
function sumOf({ value }: Plan, { messages }: ModelCall["request"]): string {
  let sum = value;
  let whole = true;
  for (const result of messages.flatMap(({ content }) => content as readonly { type: string }[])) {
    if (result.type !== "tool_result") continue;
    const { content } = result as ToolResultBlock;
    const told = jsonIn(String(content)) as
      | { task_id?: string; result?: string | null; summary?: string }
      | undefined;
    if (!told?.task_id) continue;
    const worth = Number(told.summary ?? told.result ?? NaN);
    if (Number.isFinite(worth)) sum += worth;
    else whole = false;
  }
  return whole ? String(sum) : `${sum} and more`;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function use(id: string, name: string, input: Record<string, unknown>): ReplyBlock {
  return { type: "tool_use", id, name, input };
}

function endTask(result: string): ReplyBlock {
  return use("end", "end_task", { status: "success", result });
}
