/**
 * The conversation with a model, in the shapes of the Anthropic Messages API, reduced to what
 * Troupe uses. Whatever answers (a provider or the offline model) takes a `ModelRequest` and gives
 * a `ModelReply`.
 */

export interface TextBlock {
  readonly type: "text";
  readonly text: string;
}

export interface ToolUseBlock {
  readonly type: "tool_use";
  readonly id: string;
  readonly name: string;
  readonly input: unknown;
  /** The arguments as they came, when they are not JSON; `input` is empty then. */
  readonly broken?: string;
}

/** A picture or a PDF, as base64. */
export interface MediaBlock {
  readonly type: "image" | "document";
  readonly source: {
    readonly type: "base64";
    readonly media_type: string;
    readonly data: string;
  };
}

/** How a journal names a picture or document: by the SHA-256 of its bytes, in hex. */
export interface MediaName {
  readonly hash: string;
  readonly media_type: string;
}

export interface ToolResultBlock {
  readonly type: "tool_result";
  readonly tool_use_id: string;
  readonly content: string | readonly (TextBlock | MediaBlock)[];
  readonly is_error?: boolean;
}

/** What only the provider reads (thinking with its signature, its own tools): given back as it came. */
export interface OpaqueBlock {
  readonly type:
    | "thinking"
    | "redacted_thinking"
    | "server_tool_use"
    | "web_search_tool_result"
    | "web_fetch_tool_result";
  readonly [field: string]: unknown;
}

export type ReplyBlock = TextBlock | ToolUseBlock | OpaqueBlock;

export type ModelMessage =
  | { readonly role: "user"; readonly content: readonly (TextBlock | ToolResultBlock)[] }
  | { readonly role: "assistant"; readonly content: readonly ReplyBlock[] };

/** What an agent's definition names instead of a model. */
export type Alias = "fast" | "default" | "strong";

/** Who answers, and which model each alias means. The key is not in it. */
export interface Provider {
  readonly base_url: string;
  readonly models: Readonly<Record<Alias, string>>;
}

/** The models of the aliases, when the environment names none. */
export const MODELS: Provider["models"] = {
  fast: "claude-haiku-5-5",
  default: "claude-sonnet-5-5",
  strong: "claude-opus-5-5",
};

export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of an object. */
  readonly input_schema: Record<string, unknown>;
}

export interface ModelRequest {
  readonly model: Alias;
  /** In this order: core instruction, agent instruction with its tags, one block per document. */
  readonly system: readonly TextBlock[];
  readonly tools: readonly OfferedTool[];
  /** Whether the provider's own tools (`web_search`, `web_fetch`) are offered too. */
  readonly web: boolean;
  /** Whether a call may be made; without, the reply is text. */
  readonly calls: boolean;
  readonly messages: readonly ModelMessage[];
  /** Most tokens that the reply may have. */
  readonly max_tokens: number;
}

/** A call of a model, and whose it is: trees share what a provider allows. */
export interface ModelCall {
  readonly request: ModelRequest;
  readonly task_id: string;
  readonly tree_id: string;
  /** The tree's, 0 to 9. */
  readonly priority: number;
  /** Tokens of the prompt, as far as they can be known before. */
  readonly input_tokens: number;
  /** When it has to be over, in ms since 1970. */
  readonly deadline: number;
}

/** What a call used. */
export interface Usage {
  /** Of the whole prompt, what was read from or written into the provider's cache included. */
  readonly input_tokens: number;
  readonly cache_read_tokens: number;
  readonly cache_write_tokens: number;
  readonly output_tokens: number;
  readonly web_searches: number;
}

export const NO_USAGE: Usage = {
  input_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 0,
  web_searches: 0,
};

/** Why a reply ends. `pause_turn`: the provider's own tools want another round. */
export type StopReason =
  | "end_turn"
  | "tool_use"
  | "max_tokens"
  | "stop_sequence"
  | "pause_turn"
  | "refusal"
  | "model_context_window_exceeded";

/**
 * Why there is no reply, and why the same call would give none again. `task`: of its own. `tree`: no other
 * call of the tree would fare better (the key is wrong, the account is empty). `too_long`: a shorter prompt
 * may do.
 */
export interface LastingFailure {
  readonly failed: string;
  readonly concerns: "task" | "tree" | "too_long";
}

/**
 * Why an attempt gave no reply. `again`: another may; what a reply had used that broke off is to be
 * accounted for before. `late`: the deadline was over, in the lane or in the middle of the reply.
 */
export type ModelFailure =
  | LastingFailure
  | {
    readonly failed: string;
    readonly concerns: "again";
    /** What the provider asks for; null when it does not say. */
    readonly retry_after_ms: number | null;
    /** Its limits are used up: no failure of its own. */
    readonly limited: boolean;
  }
  | { readonly failed: string; readonly concerns: "late"; readonly waiting: boolean };

export interface ModelReply {
  /** What answered, as it names itself; `offline` for the offline model. */
  readonly model: string;
  readonly content: readonly ReplyBlock[];
  readonly stop_reason: StopReason;
  readonly usage: Usage;
}

/**
 * What becomes known of a reply on its way. `waiting`: why nothing comes yet. `asked`: nothing is waited
 * for any more but the reply. `begun`: a stream begins, and what an earlier attempt sent is void. `block`
 * opens a block, `delta` goes on with it.
 */
export type Piece =
  | { readonly type: "waiting"; readonly why: string }
  | { readonly type: "asked" }
  | { readonly type: "begun" }
  | { readonly type: "block"; readonly kind: BlockKind; readonly name?: string }
  | { readonly type: "delta"; readonly text: string }
  | { readonly type: "usage"; readonly model: string; readonly usage: Usage };

export type BlockKind = "text" | "thinking" | "tool_input";

/** The calls in a reply, in the order in which they stand. */
export function callsOf(content: ModelReply["content"]): ToolUseBlock[] {
  return content.filter((block): block is ToolUseBlock => block.type === "tool_use");
}

/** The text of a reply without its calls. */
export function textOf(content: ModelReply["content"]): string {
  return content.filter((block): block is TextBlock => block.type === "text")
    .map(({ text }) => text).join("\n").trim();
}

/** The text of a tool's result without its pictures. */
export function textIn({ content }: ToolResultBlock): string {
  if (typeof content === "string") return content;
  return content.flatMap((block) => block.type === "text" ? [block.text] : []).join("\n");
}
