/** Results that are too long for a conversation: head and tail of them, and a file with the whole. */
import { FILE_BYTES_MAX, TOOL_RESULT_BYTES_MAX } from "../core/limits.ts";
import { TOOLKIT } from "../core/toolkit.ts";
import type { Parts } from "../kernel.ts";
import type { ToolCall } from "./mod.ts";

/** The text itself when it fits; else its head and tail, and where the whole is. */
export async function fitted(
  { files }: Parts,
  call: ToolCall,
  text: string,
  signal: AbortSignal,
): Promise<string> {
  if (text.length <= TOOL_RESULT_BYTES_MAX) return text;
  const path = `results/${call.call_id.replace(/[^\w-]/g, "_")}.txt`;
  const written = await files.use({
    ...call,
    tool: TOOLKIT.get("write_file")!,
    input: { path, content: text.slice(0, FILE_BYTES_MAX / 4) },
  }, signal);
  const where = written.is_error ? `cannot be kept: ${written.content}` : `in ${path}`;
  const half = Math.floor(TOOL_RESULT_BYTES_MAX / 2);
  const middle = `\n… ${text.length - 2 * half} characters are left out; the whole is ${where} …\n`;
  return text.slice(0, half) + middle + text.slice(-half);
}
