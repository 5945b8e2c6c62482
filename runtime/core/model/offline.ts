/**
 * The offline model: a small deterministic program that answers where no real model is connected.
 * It claims no intelligence. It plays playbooks for the demo tasks, knows a few plain skills, and
 * says what it is for anything else. Like any model it sees nothing but the request.
 */
import {
  type ModelMessage,
  type ModelReply,
  type ModelRequest,
  NO_USAGE,
  type ToolResultBlock,
} from "./messages.ts";
import { solve } from "./offline_skills.ts";
import { endTask, outcomeOf, type PlayedCall, type Scene } from "./scene.ts";

/** A line of a playbook: for which agent and task, and what to reply turn by turn. */
export interface Role {
  readonly agent: string;
  /** Regular expression on the task's instruction; its groups are `{{1}}`, `{{2}}` in the turns. */
  readonly task?: string;
  readonly turns: readonly PlayedTurn[];
}

/** One reply: text, calls, or nothing ever. */
export interface PlayedTurn {
  readonly say?: string;
  readonly call?: readonly PlayedCall[];
  readonly never?: true;
}

export interface Playbook {
  readonly name: string;
  readonly title: string;
  /** The task that the home page offers; null for a playbook that plays system agents. */
  readonly task: string | null;
  readonly description: string;
  /** Seconds without progress after which a task of it counts as stuck; null for the default. */
  readonly timeout_seconds: number | null;
  readonly roles: readonly Role[];
}

export const OFFLINE = "offline";

/** What the offline model says when a task is beyond it. */
export const UNKNOWABLE =
  'I am the offline model: a small program that plays the demo tasks and knows a few plain skills \
(arithmetic, word and line counts of a file, listing files, and tasks of the form "do A, then B, \
and C"). This task needs a real model. One is connected with ANTHROPIC_API_KEY, or with \
ANTHROPIC_BASE_URL for a local server that speaks the Messages API.';

/** The next reply, or null when the playbook says to never answer. */
export function answerOffline(
  request: ModelRequest,
  playbooks: readonly Playbook[],
): ModelReply | null {
  const scene = readScene(request);
  for (const { roles } of playbooks) {
    for (const role of roles) {
      if (role.agent !== scene.agent) continue;
      const groups = role.task === undefined ? [] : new RegExp(role.task, "is").exec(scene.task);
      if (!groups) continue;
      const turn = role.turns[Math.min(scene.turn, role.turns.length - 1)];
      return turn.never ? null : play(turn, [...groups], scene);
    }
  }
  return reply(scene, ...solve(scene) ?? [endTask("failure", UNKNOWABLE)]);
}

function readScene(request: ModelRequest): Scene {
  const system = request.system.map(({ text }) => text).join("\n");
  const agent = /<agent>([^<]*)<\/agent>/.exec(system)?.[1] ?? "";
  const task = /<task [^>]*>([^<]*)<\/task>/.exec(system)?.[1] ?? "";
  const documents = new Map<string, string>();
  for (
    const [, name, content] of system.matchAll(/<document name="([^"]*)">\n([^<]*)\n<\/document>/g)
  ) {
    documents.set(name, unescapeText(content));
  }
  const history = request.messages.map(resultsOf).filter((results) => results.length > 0);
  return {
    agent,
    task: unescapeText(task).trim(),
    turn: request.messages.filter(({ role }) => role === "assistant").length,
    tools: request.tools.map(({ name }) => name),
    documents,
    called: callsOf(request.messages.findLast(({ role }) => role === "assistant")),
    results: resultsOf(request.messages.at(-1)),
    history,
  };
}

function resultsOf(message: ModelMessage | undefined): ToolResultBlock[] {
  if (message?.role !== "user") return [];
  return message.content.filter((block): block is ToolResultBlock => block.type === "tool_result");
}

function callsOf(message: ModelMessage | undefined): string[] {
  if (message?.role !== "assistant") return [];
  return message.content.flatMap((block) => block.type === "tool_use" ? [block.name] : []);
}

function unescapeText(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

function play(turn: PlayedTurn, groups: readonly string[], scene: Scene): ModelReply {
  const fill = (value: unknown): unknown => {
    if (typeof value === "string") {
      const number = /^\{\{number (\d+)\}\}$/.exec(value);
      return number ? Number(groups[Number(number[1])]) : fillIn(value, groups, scene);
    }
    if (Array.isArray(value)) return value.map(fill);
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
    }
    return value;
  };
  const calls = (turn.call ?? []).map(({ tool, input }) => ({
    tool,
    // What is filled in keeps its shape: an object stays one.
    input: fill(input) as Record<string, unknown>,
  }));
  const said = turn.say === undefined ? [] : [fillIn(turn.say, groups, scene)];
  return reply(scene, ...said, ...calls);
}

/**
 * Fills a playbook's text in: `{{task}}`, `{{1}}` (a group of the role's expression),
 * `{{result 1}}` (what the first call of the last turn gave: a child's summary or result, or the
 * text), `{{status 1}}` (a child's end as success or failure), `{{results}}` (all of them as a
 * list), `{{document NAME}}` (a document that is in the prompt). `{{number 1}}`, alone in its text,
 * is a group as a number.
 */
function fillIn(text: string, groups: readonly string[], scene: Scene): string {
  return text.replace(/\{\{\s*(\w+)(?:\s+(\w+))?\s*\}\}/g, (whole, word, of) => {
    const result = scene.results[Number(of) - 1];
    switch (word) {
      case "task":
        return scene.task;
      case "result":
        return result ? outcomeOf(result).text : "";
      case "status":
        return result ? outcomeOf(result).status : "failure";
      case "results":
        return scene.results.map((one) => `- ${outcomeOf(one).text}`).join("\n");
      case "document":
        return scene.documents.get(of) ?? `(no document ${of})`;
      default:
        return groups[Number(word)] ?? whole;
    }
  });
}

function reply(scene: Scene, ...parts: (string | PlayedCall)[]): ModelReply {
  const content = parts.map((part, index) =>
    typeof part === "string" ? { type: "text" as const, text: part } : {
      type: "tool_use" as const,
      id: `call_${scene.turn + 1}_${index + 1}`,
      name: part.tool,
      input: part.input,
    }
  );
  const calls = content.some(({ type }) => type === "tool_use");
  return {
    model: OFFLINE,
    content,
    stop_reason: calls ? "tool_use" : "end_turn",
    usage: NO_USAGE,
  };
}
