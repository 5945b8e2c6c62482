/**
 * How much of a model's window a request takes, and what of a conversation is summarised before it
 * no longer fits. Nobody but the provider can count tokens: what it counted last is exact, and what has
 * come since is bounded by its bytes.
 */
import { headAndTail } from "../text.ts";
import {
  COMPACTED_CHARS_LEAST,
  COMPACTED_CHARS_MAX,
  DOCUMENT_TOKENS_MAX,
  IMAGE_TOKENS_MAX,
  PLAN_CHARS_MAX,
  TOKEN_BYTES,
  TOOL_USE_TOKENS,
} from "../limits.ts";
import {
  type MediaName,
  type ModelMessage,
  type ModelReply,
  type ModelRequest,
  type TextBlock,
  textIn,
  textOf,
} from "./messages.ts";
import type { Message } from "../protocol.ts";

/** Tokens of a prompt: never more than `most`, and about `likely`. */
export interface PromptSize {
  readonly most: number;
  readonly likely: number;
  /** What of `likely` cannot be in the provider's cache. */
  readonly fresh: number;
}

/** What a prompt was made of: kept with its reply, to see later what has come since. */
export interface PromptMark {
  /** Entries of the journal that it was made of. */
  readonly entries: number;
  readonly text_bytes: number;
  readonly media_tokens: number;
}

/** @param entries of the journal that it was made of */
export function markOf(request: ModelRequest, entries: number): PromptMark {
  const media = request.messages.flatMap(mediaIn);
  const base64 = media.reduce((sum, { source }) => sum + source.data.length, 0);
  const { system, tools, messages } = request;
  return {
    entries,
    text_bytes: bytesOf(system) + bytesOf(tools) + bytesOf(messages) - base64,
    media_tokens: media.reduce((sum, { type }) => sum + MEDIA_TOKENS[type], 0),
  };
}

const MEDIA_TOKENS = { image: IMAGE_TOKENS_MAX, document: DOCUMENT_TOKENS_MAX } as const;

/**
 * @param journal that the request was made of
 * @param now the request's mark
 */
export function sizeOf(
  request: ModelRequest,
  journal: readonly Message[],
  now = markOf(request, journal.length),
): PromptSize {
  const last = journal.findLast(({ type }) =>
    type === "model.replied" || type === "context.compacted"
  );
  const counted = last && countedBy(last);
  if (!counted) {
    const { most, likely } = tokensIn(now.text_bytes, now.media_tokens);
    const whole = { most: most + TOOL_USE_TOKENS, likely: likely + TOOL_USE_TOKENS };
    return { ...whole, fresh: whole.likely };
  }
  const { usage, prompt, content } = counted;
  // What left the prompt meanwhile makes no room for what stands behind the reply.
  const behind = request.messages.slice(
    request.messages.findLastIndex(({ role }) => role === "assistant") + 1,
  );
  const came = markOf({ ...request, system: [], tools: [], messages: behind }, 0);
  const added = tokensIn(
    Math.max(came.text_bytes, now.text_bytes - prompt.text_bytes - bytesOf(content)),
    Math.max(came.media_tokens, now.media_tokens - prompt.media_tokens),
  );
  const known = usage.input_tokens + usage.output_tokens;
  return {
    most: known + added.most,
    likely: known + added.likely,
    fresh: usage.output_tokens + added.likely,
  };
}

/**
 * What a reply says about its prompt; null when that is no measure for the next one: a summary is
 * shorter, the offline model counts nothing, and what the web gave was counted with it.
 */
function countedBy(message: Message): (ModelReply & { readonly prompt: PromptMark }) | null {
  if (message.type !== "model.replied") return null;
  // The kernel alone writes such an entry: a reply, and the mark of its prompt.
  const reply = message as unknown as ModelReply & { readonly prompt?: PromptMark };
  if (!reply.prompt) return null;
  const used_web = reply.content.some(({ type }) => type === "server_tool_use");
  if (reply.usage.input_tokens === 0 || used_web) return null;
  return { ...reply, prompt: reply.prompt };
}

/** A token is at least one byte of text. */
function tokensIn(text_bytes: number, media_tokens: number): { most: number; likely: number } {
  return {
    most: text_bytes + media_tokens,
    likely: Math.ceil(text_bytes / TOKEN_BYTES) + media_tokens,
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
  const weights = journal.map(tokensOf);
  const room = context_tokens / 4;
  const kept = turns.find((index) => sum(weights.slice(index)) <= room);
  // The very first turn fits: it is the prefix that is too long, and no summary shortens that.
  if (kept === turns[0]) return null;
  return kept ?? journal.length;
}

/** About what an entry takes in a prompt; a picture is only named in it. */
function tokensOf(message: Message): number {
  // Only results of tools have the field.
  const { media = [] } = message as { media?: readonly MediaName[] };
  const pictures = media.map(({ media_type }) =>
    media_type.startsWith("image/") ? MEDIA_TOKENS.image : MEDIA_TOKENS.document
  );
  return bytesOf(message) / TOKEN_BYTES + sum(pictures);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

/**
 * The part of a journal that is to be summarised; an earlier summary is part of it, wherever in the
 * journal it stands.
 */
export function coveredPart(journal: readonly Message[], covers: number): Message[] {
  const part = journal.slice(0, covers);
  const summary = journal.findLast(({ type }) => type === "context.compacted");
  return summary && !part.includes(summary) ? [...part, summary] : part;
}

/** Entries that a summary stands for. */
export function coverOf(message: Message): number {
  // Of a `context.compacted`, which the kernel alone writes.
  return message.covers as number;
}

/** What the agent began with: the words of its first reply that has any. */
export function planOf(journal: readonly Message[]): string | null {
  for (const message of journal) {
    if (message.type !== "model.replied") continue;
    // The kernel alone writes such an entry, out of a reply.
    const said = textOf((message as unknown as ModelReply).content);
    if (said !== "") return said.slice(0, PLAN_CHARS_MAX).toWellFormed();
  }
  return null;
}

/**
 * The request for a summary: the same prompt up to where the summary ends, so that the provider's cache
 * holds what it can, with one more line. What is too long for the window is cut.
 * @param covered the conversation that is to be summarised, without its pictures
 */
export function summaryRequest(
  request: ModelRequest,
  covered: readonly ModelMessage[],
  context_tokens: number,
  max_tokens: number,
): ModelRequest {
  const ask: TextBlock = { type: "text", text: SUMMARISE };
  const prefix = bytesOf(request.system) + bytesOf(request.tools);
  // Half of what would fit by its common size: it must fit by any.
  const room = (context_tokens - max_tokens) * TOKEN_BYTES / 2 - prefix;
  const messages = fitting(covered, room);
  const last = messages.at(-1);
  const asked: ModelMessage[] = last?.role === "user"
    ? [...messages.slice(0, -1), { role: "user", content: [...last.content, ask] }]
    : [...messages, { role: "user", content: [ask] }];
  return { ...request, calls: false, max_tokens, messages: asked };
}

const SUMMARISE =
  "The conversation has grown too long to go on with it whole. Write a summary that takes its place: " +
  "what you have done and found out, with every name, path, number and decision that is still needed, " +
  "what did not work, what a person said to you, and what is left to do. Do not repeat the task, your " +
  "plan or the documents: they stay. Answer with the summary alone, without calling a tool.";

/** The messages with their results and arguments cut, shorter and shorter, until they fit. */
function fitting(messages: readonly ModelMessage[], bytes_max: number): ModelMessage[] {
  let cut = [...messages];
  for (let chars = COMPACTED_CHARS_MAX; bytesOf(cut) > bytes_max; chars = Math.floor(chars / 2)) {
    if (chars < COMPACTED_CHARS_LEAST) break;
    cut = messages.map((message) => shortened(message, chars));
  }
  return cut;
}

function shortened(message: ModelMessage, chars: number): ModelMessage {
  if (message.role === "assistant") {
    const content = message.content.map((block) =>
      block.type === "tool_use" ? { ...block, input: inputWithin(block.input, chars) } : block
    );
    return { role: "assistant", content };
  }
  const content = message.content.map((block) =>
    block.type === "tool_result"
      ? { ...block, content: withoutMiddle(textIn(block), chars) }
      : block
  );
  return { role: "user", content };
}

/** Arguments stay an object, whose long texts are cut. */
function inputWithin(input: unknown, chars: number): unknown {
  if (input === null || typeof input !== "object") return input;
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return [name, text.length > chars ? withoutMiddle(text, chars) : value];
    }),
  );
}

function withoutMiddle(text: string, chars: number): string {
  return headAndTail(text, chars, () => "…").toWellFormed();
}
