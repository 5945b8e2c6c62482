/**
 * The prompt of one turn, from what is written down about a task. Pure, and in an order that keeps
 * the longest prefix the same from turn to turn (core instruction, agent, documents, tools, then the
 * conversation), so that a provider's prompt cache holds.
 */
import {
  type Alias,
  callsOf,
  type MediaBlock,
  type MediaName,
  type ModelMessage,
  type ModelReply,
  type ModelRequest,
  type OfferedTool,
  type ReplyBlock,
  type TextBlock,
  type ToolResultBlock,
} from "./messages.ts";
import { TAIL_CHARS_MAX, TAIL_MESSAGES_MAX } from "../limits.ts";
import type { Message } from "../protocol.ts";
import { coverOf, planOf, type PromptMark } from "./window.ts";

/** What every agent is told before its own instruction. */
export const CORE_INSTRUCTION =
  `You are a universal agent in a recursive task-solving system. Many agents like you work side by \
side, each on one task, and each knows nothing but its own conversation.

- Solve only the task that you were given, no more and no less.
- If the task is too complex for one agent, call break_down_task; if a part of it can be done by \
someone else, spawn another agent with start_subtask. Several start_subtask calls in one turn run \
side by side. A subtask sees only the instruction that you write for it: put everything it needs \
into that.
- If you lack knowledge, call request_context; if you lack a tool, call request_tools. What is \
attached is there from your next turn. Do not guess what you could ask for.
- If something needs a person's attention or decision, call flag_for_review.
- A tool result marked as an error is information: mend the call or choose another way.
- Always finish with end_task, alone in its turn: status "success" with the result, or "failure" \
with what stood in the way. Never claim what you have not done or seen.`;

/** What the prompt of a turn is made of. Documents and tools in the order of their attachment. */
export interface PromptParts {
  readonly model: Alias;
  readonly max_tokens: number;
  /** Whether its agent may use the provider's own web tools. */
  readonly web: boolean;
  /** Pictures and documents that the journal names, by hash. */
  readonly media: ReadonlyMap<string, MediaBlock>;
  readonly agent: { readonly name: string; readonly instruction: string };
  readonly task: { readonly id: string; readonly depth: number; readonly instruction: string };
  readonly documents: readonly { readonly name: string; readonly content: string }[];
  readonly tools: readonly OfferedTool[];
  /** The task's journal from its beginning. */
  readonly journal: readonly Message[];
}

/** Assembles the request of the task's next turn. */
export function assemblePrompt(parts: PromptParts): ModelRequest {
  return {
    model: parts.model,
    system: [
      text(CORE_INSTRUCTION),
      text(
        `<agent>${escapeText(parts.agent.name)}</agent>\n\n${parts.agent.instruction}\n\n` +
          `<task id="${parts.task.id}" depth="${parts.task.depth}">` +
          `${escapeText(parts.task.instruction)}</task>`,
      ),
      ...parts.documents.map(({ name, content }) =>
        text(`<document name="${escapeText(name)}">\n${escapeText(content)}\n</document>`)
      ),
    ],
    tools: parts.tools,
    web: parts.web,
    calls: true,
    max_tokens: parts.max_tokens,
    messages: conversation(parts.journal, parts.media),
  };
}

/**
 * Folds a journal into the conversation. Each `tool_use` is followed by its `tool_result` in the
 * next user message, in the order of the calls, whatever order the results arrived in; a hint that
 * came meanwhile stands after them. Turns that were summarised are left out for their summary; what the
 * agent began with stays beside it.
 */
export function conversation(
  journal: readonly Message[],
  media: ReadonlyMap<string, MediaBlock> = new Map(),
): ModelMessage[] {
  const messages: ModelMessage[] = [];
  const compacted = journal.findLast(({ type }) => type === "context.compacted");
  let calls: string[] = [];
  let results = new Map<string, ToolResultBlock>();
  /** With the number of its entry, so that a reply is not put behind what it could not know. */
  let said: { readonly at: number; readonly block: TextBlock }[] = [];

  const flush = (known = Infinity) => {
    const answered = calls.map((id) => results.get(id) ?? interrupted(id));
    const content = [...answered, ...said.filter(({ at }) => at < known).map(({ block }) => block)];
    if (content.length > 0) messages.push({ role: "user", content });
    calls = [];
    results = new Map();
    said = said.filter(({ at }) => at >= known);
  };
  // A summary is older than every entry that stays.
  let at = -1;
  const say = (words: string) => said.push({ at, block: text(words) });

  if (compacted) {
    const plan = planOf(journal);
    say(BEGIN);
    if (plan) say(`You began with these words:\n<plan>\n${plan}\n</plan>`);
    say(
      "Your earlier turns were summarised by yourself, because they had grown too long:\n" +
        `<summary>\n${compacted.summary}\n</summary>\nGo on from there.`,
    );
  }

  for (at = compacted ? coverOf(compacted) : 0; at < journal.length; at++) {
    const message = journal[at];
    switch (message.type) {
      case "task.started":
        say(BEGIN);
        break;
      case "model.replied": {
        // Of each type that is read here the kernel alone writes entries, in this shape.
        const { content, prompt } = message as unknown as RepliedEntry;
        flush(prompt?.entries);
        // The API refuses an empty assistant message; an empty reply still was a turn.
        messages.push({
          role: "assistant",
          content: content.length > 0 ? content.map(givenBack) : [text("(no answer)")],
        });
        calls = callsOf(content).map(({ id }) => id);
        break;
      }
      case "tool.replied": {
        // As above.
        const { call_id, content, is_error, media: named } = message as unknown as ToolRepliedEntry;
        const shown = (named ?? []).flatMap(({ hash }) => media.get(hash) ?? []);
        results.set(call_id, {
          type: "tool_result",
          tool_use_id: call_id,
          content: shown.length > 0 ? [text(content), ...shown] : content.toWellFormed(),
          ...(is_error ? { is_error } : {}),
        });
        break;
      }
      case "hint":
        say(`A person says: ${message.text}`);
        break;
      case "nudge":
      case "reminder":
        say(String(message.text));
        break;
    }
  }
  flush();
  return messages;
}

/** The end of a journal, as the after-task agents and the supervisor read it. */
export function tailOf(journal: readonly Message[]): string {
  // As a conversation, where results stand in the order of their calls and not of their arrival: the same
  // task reads the same whenever it is gone through again.
  const lines = conversation(journal).slice(-TAIL_MESSAGES_MAX)
    .map((message) => JSON.stringify(message).slice(0, TAIL_CHARS_MAX));
  return `<journal>\n${lines.join("\n").slice(-TAIL_CHARS_MAX).toWellFormed()}\n</journal>`;
}

/** What arguments looked like that could not be read is our own note. */
function givenBack(block: ReplyBlock): ReplyBlock {
  if (block.type !== "tool_use" || block.broken === undefined) return block;
  const { broken: _, ...rest } = block;
  return rest;
}

const BEGIN = "Begin with your task.";

interface RepliedEntry {
  readonly content: ModelReply["content"];
  readonly prompt?: PromptMark;
}

interface ToolRepliedEntry {
  readonly call_id: string;
  readonly content: string;
  readonly is_error?: boolean;
  /** Pictures and documents that belong to it. */
  readonly media?: readonly MediaName[];
}

/** The hashes of pictures and documents that a journal names, in its order. */
export function mediaNamed(journal: readonly Message[]): string[] {
  // Only results of tools have the field.
  return journal.flatMap((message) =>
    ((message as unknown as Partial<ToolRepliedEntry>).media ?? []).map(({ hash }) => hash)
  );
}

function interrupted(id: string): ToolResultBlock {
  return {
    type: "tool_result",
    tool_use_id: id,
    content: "interrupted: outcome unknown",
    is_error: true,
  };
}

/** The API refuses half of a surrogate pair, which any cut through a text may leave. */
function text(text: string): TextBlock {
  return { type: "text", text: text.toWellFormed() };
}

/** A name, an instruction or a document must not be able to close its own tag and pretend to be another. */
function escapeText(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
