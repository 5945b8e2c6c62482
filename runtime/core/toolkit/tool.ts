/** What a tool is, as data: built in, or written by an agent. */
import type * as z from "zod";

/** Who carries a call out; `agent` is the agent itself. */
export type PerformedBy =
  | "agent"
  | "child"
  | "review"
  | "store"
  | "files"
  | "workshop"
  | "terminal"
  | "written";

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly input: z.ZodType<Record<string, unknown>>;
  /** What it does to the world outside its own task. */
  readonly effect: "none" | "read" | "write" | "external";
  /** Whether a call that was cut off may be made again. */
  readonly idempotent: boolean;
  readonly performer: PerformedBy;
  /** Core tools are there for every agent; the others are attached. */
  readonly core: boolean;
  /** Of a tool that an agent wrote: the schema as it was written, and the tool itself. */
  readonly input_schema?: Record<string, unknown>;
  readonly written?: WrittenTool;
}

/** What a tool may do besides computing. Paths are relative to the tree's workspace. */
export interface Permissions {
  readonly net?: readonly string[] | undefined;
  readonly read?: readonly string[] | undefined;
  readonly write?: readonly string[] | undefined;
}

export interface WrittenTool {
  readonly name: string;
  readonly version: number;
  readonly description: string;
  readonly input_schema: Record<string, unknown>;
  readonly source: string;
  readonly permissions: Permissions;
}
