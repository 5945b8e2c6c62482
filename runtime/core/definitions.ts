/** What agents, documents and tools are, as data: seeds, pages and agents themselves write them. */

/** Who wrote a version. Seeding replaces its own only. */
export type Origin = "seed" | "person" | "agent";

export interface AgentDefinition {
  readonly name: string;
  readonly description: string;
  readonly instruction: string;
  readonly tools: readonly string[];
  readonly documents: readonly string[];
  readonly web_search: boolean;
  readonly model: "fast" | "default" | "strong";
  readonly after_task: boolean;
  readonly limits: { readonly turns?: number; readonly timeout_seconds?: number };
}

export interface DocumentDefinition {
  readonly name: string;
  readonly description: string;
  readonly content: string;
}

export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly input_schema: Record<string, unknown>;
  readonly effect: "none" | "read" | "write" | "external";
}
