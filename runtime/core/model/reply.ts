/**
 * Puts a reply together from the events of its stream, and tells on the way what of it can be shown.
 * Not the SDK's own accumulator: arguments that are no JSON make that one throw away the reply, and
 * here they become a call that its model can mend.
 * Source of the events: the Messages API's streaming reference.
 */
import { REPLY_BLOCKS_MAX } from "../limits.ts";
import {
  type BlockKind,
  type ModelReply,
  type Piece,
  type ReplyBlock,
  type StopReason,
  type Usage,
} from "./messages.ts";

/** An event as the stream has it; only the fields that are read here. */
export interface StreamEvent {
  readonly type: string;
  readonly index?: number;
  readonly message?: { readonly model?: unknown; readonly usage?: Counted };
  readonly content_block?: Record<string, unknown>;
  readonly delta?: Record<string, unknown>;
  readonly usage?: Counted;
}

/** Token counts as the API names them; `input_tokens` leaves out what the cache had to do with. */
interface Counted {
  readonly input_tokens?: number | null;
  readonly cache_read_input_tokens?: number | null;
  readonly cache_creation_input_tokens?: number | null;
  readonly output_tokens?: number | null;
  readonly server_tool_use?: { readonly web_search_requests?: number | null } | null;
}

/** A block on its way; arguments are text until they are whole. */
interface Open {
  block: Record<string, unknown>;
  json: string;
}

export class ReplyReader {
  readonly #blocks: Open[] = [];
  #begun = false;
  #model = "";
  #stop_reason: StopReason | null = null;
  #counted: Counted = {};

  /**
   * Takes the next event; gives what can be shown of it.
   * @throws {Error} when the event does not fit those before it
   */
  take(event: StreamEvent): Piece[] {
    switch (event.type) {
      case "message_start":
        this.#begun = true;
        this.#model = String(event.message?.model ?? "unnamed");
        return [{ type: "begun" }, this.#count(event.message?.usage)];
      case "content_block_start": {
        const block = { ...event.content_block };
        const { index = -1 } = event;
        const known = Number.isInteger(index) && index >= 0 && index < REPLY_BLOCKS_MAX;
        if (!known || typeof block.type !== "string") {
          throw malformed();
        }
        this.#blocks[index] = { block, json: "" };
        return opening(block);
      }
      case "content_block_delta": {
        const open = this.#blocks[event.index ?? -1];
        if (!open || !event.delta) throw malformed();
        return append(open, event.delta);
      }
      case "message_delta":
        // A reason that nobody knows is handed on.
        this.#stop_reason = (event.delta?.stop_reason as StopReason | undefined) ??
          this.#stop_reason;
        return [this.#count(event.usage)];
      default:
        // New kinds of events may come; those known carry the whole reply.
        return [];
    }
  }

  /** @throws {Error} when the stream ended before its reply did */
  finish(): ModelReply {
    if (!this.#begun) throw new Error("The model's answer is no stream of events");
    if (this.#stop_reason === null) throw new Error("The model's stream broke off");
    const stop_reason = this.#stop_reason;
    const content = this.#blocks.filter(Boolean).map(whole);
    return {
      model: this.#model,
      content: withoutCut(content, stop_reason).filter(hasSubstance),
      stop_reason,
      usage: usageOf(this.#counted),
    };
  }

  /** Later counts are totals, and those left out stand as they were. */
  #count(counted: Counted | undefined): Piece {
    const said = Object.entries(counted ?? {}).filter(([, count]) => count !== null);
    this.#counted = { ...this.#counted, ...Object.fromEntries(said) };
    return { type: "usage", model: this.#model, usage: usageOf(this.#counted) };
  }
}

/** The API sends blank text now and then, and refuses it when it is given back. */
function hasSubstance(block: ReplyBlock): boolean {
  return block.type !== "text" || block.text.trim() !== "";
}

function opening(block: Record<string, unknown>): Piece[] {
  const type = String(block.type);
  const kind = KINDS[type];
  if (!kind) return [];
  const name = typeof block.name === "string" ? { name: block.name } : {};
  const first = String(block[type] ?? "");
  const opened: Piece = { type: "block", kind, ...name };
  return first === "" ? [opened] : [opened, { type: "delta", text: first }];
}

const KINDS: Readonly<Record<string, BlockKind | undefined>> = {
  text: "text",
  thinking: "thinking",
  tool_use: "tool_input",
  server_tool_use: "tool_input",
};

function append(open: Open, delta: Record<string, unknown>): Piece[] {
  const { block } = open;
  switch (delta.type) {
    case "text_delta":
      block.text = `${block.text ?? ""}${delta.text}`;
      return [{ type: "delta", text: String(delta.text) }];
    case "thinking_delta":
      block.thinking = `${block.thinking ?? ""}${delta.thinking}`;
      return [{ type: "delta", text: String(delta.thinking) }];
    case "input_json_delta":
      open.json += delta.partial_json;
      return delta.partial_json === "" ? [] : [{ type: "delta", text: String(delta.partial_json) }];
    case "signature_delta":
      block.signature = `${block.signature ?? ""}${delta.signature}`;
      return [];
    case "citations_delta":
      block.citations = [
        ...Array.isArray(block.citations) ? block.citations : [],
        delta.citation,
      ];
      return [];
    default:
      return [];
  }
}

/** A block with its arguments read. Kinds that nobody knows are given back as they came: hence the casts. */
function whole({ block, json }: Open): ReplyBlock {
  if (json === "") return block as unknown as ReplyBlock;
  const input = objectIn(json);
  if (input) return { ...block, input } as unknown as ReplyBlock;
  // Only calls that are ours can be mended.
  const broken = block.type === "tool_use" ? { broken: json } : {};
  return { ...block, input: {}, ...broken } as unknown as ReplyBlock;
}

/** Arguments are an object; anything else the API would not take back. */
function objectIn(json: string): object | null {
  try {
    const input = JSON.parse(json);
    return input !== null && typeof input === "object" && !Array.isArray(input) ? input : null;
  } catch {
    return null;
  }
}

/** A call that was cut off in its arguments is no call. */
function withoutCut(content: ReplyBlock[], stop_reason: StopReason): ReplyBlock[] {
  const ended = stop_reason === "max_tokens" || stop_reason === "model_context_window_exceeded";
  const cut = ended && CALLS.includes(content.at(-1)?.type ?? "");
  return cut ? content.slice(0, -1) : content;
}

const CALLS: readonly string[] = ["tool_use", "server_tool_use"];

function usageOf(counted: Counted): Usage {
  const cache_read_tokens = counted.cache_read_input_tokens ?? 0;
  const cache_write_tokens = counted.cache_creation_input_tokens ?? 0;
  return {
    input_tokens: (counted.input_tokens ?? 0) + cache_read_tokens + cache_write_tokens,
    cache_read_tokens,
    cache_write_tokens,
    output_tokens: counted.output_tokens ?? 0,
    web_searches: counted.server_tool_use?.web_search_requests ?? 0,
  };
}

function malformed(): Error {
  return new Error("The model's stream is malformed: an event does not fit those before it");
}
