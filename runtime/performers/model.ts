/** Asks the model: assembles the prompt from the journal and hands it to the gateway. */
import { findDocuments } from "../../db/definitions.ts";
import { addUsage } from "../../db/tasks.ts";
import { MESSAGE_BYTES_MAX } from "../core/limits.ts";
import { assemblePrompt } from "../core/prompt.ts";
import type { Message } from "../core/protocol.ts";
import { definitionOf } from "../core/toolkit.ts";
import type { Parts } from "../kernel.ts";
import { documentsOf, taskOf, toolsOf } from "./context.ts";
import type { Outcome } from "./mod.ts";

/**
 * One turn of a task.
 * @throws {Error} when the gateway fails; asking again is harmless
 */
export async function askModel(
  { store, gateway, outputs }: Parts,
  task_id: string,
  turn: number,
  signal: AbortSignal,
): Promise<Outcome> {
  const db = store.read;
  const [{ task, agent }, documents, tools, entries] = await Promise.all([
    taskOf(db, task_id),
    documentsOf(db, task_id).then((names) => findDocuments(db, names)),
    toolsOf(db, task_id),
    db.selectFrom("entries").select("message_json").where("task_id", "=", task_id)
      .orderBy("seq").execute(),
  ]);
  const request = assemblePrompt({
    model: agent.model,
    agent,
    task,
    documents,
    tools: tools.map(definitionOf),
    journal: entries.map(({ message_json }) => JSON.parse(message_json) as Message),
  });
  const show = outputs.open(task_id, task.tree_id, "");
  const reply = await gateway.ask(request, signal, show.write).finally(show.close);
  if ("failed" in reply) {
    return { reply: { type: "model.failed", turn, reason: reply.failed } };
  }
  const message: Message = { type: "model.replied", turn, ...reply };
  if (JSON.stringify(message).length > MESSAGE_BYTES_MAX) {
    const reason = `The model's reply is longer than ${MESSAGE_BYTES_MAX} bytes`;
    return { reply: { type: "model.failed", turn, reason } };
  }
  return {
    statements: [addUsage({ id: task_id, model: reply.model, ...reply.usage })],
    reply: message,
  };
}
