/** Results that are too long for a conversation: head and tail of them, and a file with the whole. */
import { headAndTail } from "../core/text.ts";
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
  if (text.length <= TOOL_RESULT_BYTES_MAX) return text;
  const path = `results/${call.call_id.replace(/[^\w-]/g, "_")}.txt`;
  const fits = new TextEncoder().encode(text).length <= FILE_BYTES_MAX;
  // At most four bytes a character: so many fit in any case.
  const content = fits ? text : text.slice(0, FILE_BYTES_MAX / 4);
  const { tree_id } = call;
  const input = { path, content };
  const written = await files.use({ tree_id, tool: "write_file", input }, signal);
  const kept = fits ? "the whole is" : `the first ${content.length} characters are`;
  const where = written.is_error ? `${kept} not kept: ${written.content}` : `${kept} in ${path}`;
  return headAndTail(
    text,
    TOOL_RESULT_BYTES_MAX,
    (left_out) => `… ${left_out} characters are left out; ${where} …`,
  );
}
