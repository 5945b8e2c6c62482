/**
 * How much of a model's window a request takes, and what of a conversation is summarised before it
 * no longer fits. Nobody but the provider can count tokens: what it counted last is exact, and what has
 * come since is bounded by its bytes.
 */
import {
  COMPACTED_RESULT_CHARS_MAX,
  IMAGE_TOKENS_MAX,
  PLAN_CHARS_MAX,
  TOKEN_BYTES,
  TOOL_USE_TOKENS,
} from "./limits.ts";
import type {
  ModelMessage,
  ModelReply,
  ModelRequest,
  TextBlock,
  ToolResultBlock,
} from "./model.ts";
import { textOf } from "./model.ts";
import type { Message } from "./protocol.ts";

/** Tokens of a prompt: never more than `most`, and about `likely`. */
export interface PromptSize {
  readonly most: number;
  readonly likely: number;
  /** What of `likely` cannot be in the provider's cache. */
  readonly fresh: number;
}

/** Bytes of what stands before the conversation; kept with a reply, to see later whether it has grown. */
export function prefixBytes({ system, tools }: Pick<ModelRequest, "system" | "tools">): number {
  return bytesOf(system) + bytesOf(tools);
}

/** @param journal that the request was made of */
export function sizeOf(request: ModelRequest, journal: readonly Message[]): PromptSize {
  const last = journal.findLastIndex(({ type }) =>
    type === "model.replied" || type === "context.compacted"
  );
  const prefix = prefixBytes(request);
  const counted = last < 0 ? null : countedBy(journal[last]);
  if (!counted) {
    const bytes = prefix + bytesOf(request.messages);
    const size = sizeIn(bytes, request.messages);
    return { ...size, fresh: size.likely };
  }
  const since = request.messages.slice(
    request.messages.findLastIndex(({ role }) => role === "assistant") + 1,
  );
  const grown = Math.max(0, prefix - counted.prefix_bytes);
  const added = sizeIn(grown + bytesOf(since), since);
  const known = counted.input_tokens + counted.output_tokens;
  return {
    most: known + added.most,
    likely: known + added.likely,
    fresh: counted.output_tokens + added.likely,
  };
}

/** What a reply says about its prompt; null when it says nothing, like a summary or the offline model. */
function countedBy(message: Message) {
  if (message.type !== "model.replied") return null;
  const { usage, prefix_bytes } = message as unknown as Partial<ModelReply> & {
    prefix_bytes?: number;
  };
  if (!usage?.input_tokens || prefix_bytes === undefined) return null;
  return { ...usage, prefix_bytes };
}

/** A token is at least one byte of text; a picture costs by its size, whatever its bytes. */
function sizeIn(bytes: number, messages: readonly ModelMessage[]) {
  let text = bytes;
  let pictures = 0;
  for (const { type, source } of messages.flatMap(mediaIn)) {
    text -= source.data.length;
    // Pages of a document cannot be counted from outside: its bytes bound its text.
    if (type === "image") pictures += IMAGE_TOKENS_MAX;
    else pictures += Math.ceil(source.data.length / TOKEN_BYTES);
  }
  return {
    most: text + pictures + TOOL_USE_TOKENS,
    likely: Math.ceil(text / TOKEN_BYTES) + pictures + TOOL_USE_TOKENS,
  };
}

function mediaIn({ role, content }: ModelMessage) {
  if (role === "assistant") return [];
  return content.flatMap((block) =>
    block.type === "tool_result" && typeof block.content !== "string"
      ? block.content.flatMap((part) => part.type === "text" ? [] : [part])
      : []
  );
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

/**
 * How many entries from the journal's beginning are to be summarised, so that what stays takes at most
 * a quarter of the window: whole turns, as many of the newest as fit. Null when nothing would be gained.
 */
export function coveredBy(journal: readonly Message[], context_tokens: number): number | null {
  const compacted = journal.findLastIndex(({ type }) => type === "context.compacted");
  const after = compacted < 0 ? 0 : coverOf(journal[compacted]);
  const turns = journal.flatMap(({ type }, index) =>
    type === "model.replied" && index >= after ? [index] : []
  );
  if (turns.length === 0) return null;
  const room = context_tokens / 4 * TOKEN_BYTES;
  const kept = turns.find((index) => bytesOf(journal.slice(index)) <= room);
  // The very first turn fits: it is the prefix that is too long, and no summary shortens that.
  if (kept === turns[0]) return null;
  return kept ?? journal.length;
}

/** Entries that a summary stands for. */
export function coverOf(message: Message): number {
  return message.covers as number;
}

/** What the agent began with: the words of its first reply that has any. */
export function planOf(journal: readonly Message[]): string | null {
  for (const message of journal) {
    if (message.type !== "model.replied") continue;
    const said = textOf((message as unknown as ModelReply).content);
    if (said !== "") return said.slice(0, PLAN_CHARS_MAX);
  }
  return null;
}

/**
 * The request for a summary: the same prompt, so that it is found in the provider's cache, up to where
 * the summary ends, with one more line. Results that are too long for the window are cut.
 * @param covered the conversation that is to be summarised
 */
export function summaryRequest(
  request: ModelRequest,
  covered: readonly ModelMessage[],
  context_tokens: number,
  max_tokens: number,
): ModelRequest {
  const ask: TextBlock = { type: "text", text: SUMMARISE };
  const messages = fitting(covered, (context_tokens - max_tokens) * TOKEN_BYTES / 2);
  const last = messages.at(-1);
  const asked: ModelMessage[] = last?.role === "user"
    ? [...messages.slice(0, -1), { role: "user", content: [...last.content, ask] }]
    : [...messages, { role: "user", content: [ask] }];
  return { ...request, calls: false, web: false, max_tokens, messages: asked };
}

const SUMMARISE =
  "The conversation has grown too long to go on with it whole. Write a summary that takes its place: " +
  "what you have done and found out, with every name, path, number and decision that is still needed, " +
  "what did not work, what a person said to you, and what is left to do. Do not repeat the task, your " +
  "plan or the documents: they stay. Answer with the summary alone, without calling a tool.";

/** The messages with their results cut, shorter and shorter, until they fit. */
function fitting(messages: readonly ModelMessage[], bytes_max: number): ModelMessage[] {
  let cut = [...messages];
  for (let chars = COMPACTED_RESULT_CHARS_MAX; bytesOf(cut) > bytes_max; chars /= 2) {
    if (chars < 1) break;
    cut = messages.map((message) => withoutMiddles(message, Math.floor(chars)));
  }
  return cut;
}

function withoutMiddles(message: ModelMessage, chars: number): ModelMessage {
  if (message.role === "assistant") return message;
  return {
    role: "user",
    content: message.content.map((block) =>
      block.type === "tool_result" ? withoutMiddle(block, chars) : block
    ),
  };
}

function withoutMiddle(block: ToolResultBlock, chars: number): ToolResultBlock {
  const { content } = block;
  if (typeof content !== "string") {
    const text = content.flatMap((part) => part.type === "text" ? [part.text] : []).join("\n");
    return { ...block, content: `${text}\n(a picture or document was here)` };
  }
  if (content.length <= chars) return block;
  const half = Math.floor(chars / 2);
  return { ...block, content: `${content.slice(0, half)}\n…\n${content.slice(-half)}` };
}
