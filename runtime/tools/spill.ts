/** Results that are too long for a conversation: head and tail of them, and a file with the whole. */
import { cutToBytes, fits, headAndTailInBytes } from "../core/text.ts";
import { FILE_BYTES_MAX, TOOL_RESULT_BYTES_MAX } from "../core/limits.ts";
import type { ToolCall } from "../commands/outcome.ts";
import type { Files } from "../ports.ts";

/** The text itself when it fits; else its head and tail, and where the whole is. */
export async function fitted(
  files: Files,
  call: ToolCall,
  text: string,
  signal: AbortSignal,
): Promise<string> {
  if (fits(text, TOOL_RESULT_BYTES_MAX)) return text;
  const path = `results/${call.call_id.replace(/[^\w-]/g, "_")}.txt`;
  const whole = new TextEncoder().encode(text).length <= FILE_BYTES_MAX;
  // Never more as a file than as JSON.
  const content = whole ? text : cutToBytes(text, FILE_BYTES_MAX);
  const { tree_id } = call;
  const input = { path, content };
  const written = await files.use({ tree_id, tool: "write_file", input }, signal);
  const kept = whole ? "the whole is" : `the first ${content.length} characters are`;
  const where = written.is_error ? `${kept} not kept: ${written.content}` : `${kept} in ${path}`;
  return headAndTailInBytes(
    text,
    TOOL_RESULT_BYTES_MAX,
    (left_out) => `… ${left_out} characters are left out; ${where} …`,
  );
}
