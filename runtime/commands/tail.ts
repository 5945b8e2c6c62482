/** The end of a task's journal, for whoever has to judge it without having been there. */
import type { Store } from "../../db/store.ts";
import { TAIL_CHARS, TAIL_MESSAGES } from "../core/limits.ts";
import { conversation } from "../core/model/prompt.ts";

/** What the after-task agents and the supervisor are shown of it. */
export async function tailOf(db: Store["read"], task_id: string): Promise<string> {
  const entries = await db.selectFrom("entries").select("message_json")
    .where("task_id", "=", task_id).orderBy("seq").execute();
  // As a conversation, where results stand in the order of their calls and not of their arrival: the same
  // task reads the same whenever it is gone through again.
  const messages = conversation(entries.map(({ message_json }) => JSON.parse(message_json)));
  const lines = messages.slice(-TAIL_MESSAGES)
    .map((message) => JSON.stringify(message).slice(0, TAIL_CHARS));
  return `<journal>\n${lines.join("\n").slice(-TAIL_CHARS)}\n</journal>`;
}
