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

export type ModelMessage =
  | { readonly role: "user"; readonly content: readonly (TextBlock | ToolResultBlock)[] }
  | { readonly role: "assistant"; readonly content: readonly (TextBlock | ToolUseBlock)[] };

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

export interface ModelReply {
  /** What answered, as it names itself; `offline` for the offline model. */
  readonly model: string;
  readonly content: readonly (TextBlock | ToolUseBlock)[];
  readonly stop_reason: "end_turn" | "tool_use" | "max_tokens" | "refusal";
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
