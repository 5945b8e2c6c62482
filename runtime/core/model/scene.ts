/** What the offline model knows of a task, and the calls that it answers with. */
import { textIn, type ToolResultBlock } from "./messages.ts";

/** What the offline model makes out of a request. */
export interface Scene {
  readonly agent: string;
  readonly task: string;
  /** How many turns were taken already. */
  readonly turn: number;
  readonly tools: readonly string[];
  readonly documents: ReadonlyMap<string, string>;
  /** The tools that the last turn called. */
  readonly called: readonly string[];
  /** The results of the last turn's calls, in their order. */
  readonly results: readonly ToolResultBlock[];
  /** All results so far, turn by turn. */
  readonly history: readonly (readonly ToolResultBlock[])[];
}

export interface PlayedCall {
  readonly tool: string;
  readonly input: Record<string, unknown>;
}

export function endTask(status: "success" | "failure", result: string): PlayedCall {
  return { tool: "end_task", input: { status, result } };
}

/** Reads a tool's result; what a child returned is JSON with its status, result and summary. */
export function outcomeOf(block: ToolResultBlock): { status: "success" | "failure"; text: string } {
  const said = textIn(block);
  try {
    const child = JSON.parse(said);
    if (typeof child?.status === "string") {
      const text = child.result ?? child.summary ?? child.reason ?? "";
      return { status: child.status === "done" ? "success" : "failure", text };
    }
  } catch {
    // Plain text.
  }
  return { status: block.is_error ? "failure" : "success", text: said };
}
