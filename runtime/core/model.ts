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
}

export interface ToolResultBlock {
  readonly type: "tool_result";
  readonly tool_use_id: string;
  readonly content: string;
  readonly is_error?: boolean;
}

/** What only the provider reads (thinking with its signature, its own tools): given back as it came. */
export interface OpaqueBlock {
  readonly type: "thinking" | "redacted_thinking" | "server_tool_use" | "web_search_tool_result";
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

export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of an object. */
  readonly input_schema: Record<string, unknown>;
}

export interface ModelRequest {
  readonly model: string;
  /** In this order: core instruction, agent instruction with its tags, one block per document. */
  readonly system: readonly TextBlock[];
  readonly tools: readonly ToolDefinition[];
  readonly messages: readonly ModelMessage[];
}

export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
}

/** Why a reply ends. `pause_turn`: the provider's own tools want another round. */
export type StopReason =
  | "end_turn"
  | "tool_use"
  | "max_tokens"
  | "stop_sequence"
  | "pause_turn"
  | "refusal"
  | "model_context_window_exceeded";

/** A call that must not be made again: the key is wrong, the account empty, the prompt too long. */
export interface ModelFailure {
  readonly failed: string;
}

export interface ModelReply {
  /** What answered, as it names itself; `offline` for the offline model. */
  readonly model: string;
  readonly content: readonly ReplyBlock[];
  readonly stop_reason: StopReason;
  readonly usage: Usage;
}

/** The calls in a reply, in the order in which they stand. */
export function callsOf(content: ModelReply["content"]): ToolUseBlock[] {
  return content.filter((block): block is ToolUseBlock => block.type === "tool_use");
}

/** The text of a reply without its calls. */
export function textOf(content: ModelReply["content"]): string {
  return content.filter((block): block is TextBlock => block.type === "text")
    .map(({ text }) => text).join("\n").trim();
}
