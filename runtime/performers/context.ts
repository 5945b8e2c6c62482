/** What is written down about a task that its prompt and its tools need. */
import type { Kysely } from "kysely";
import { findAgent } from "../../db/definitions.ts";
import type { Schema } from "../../db/schema.ts";
import { CORE_TOOLS, TOOLKIT } from "../core/toolkit.ts";

/** A task with the version of its agent that it was started with. */
export async function taskOf(db: Kysely<Schema>, id: string) {
  const task = await db.selectFrom("tasks").selectAll().where("id", "=", id)
    .executeTakeFirstOrThrow();
  const agent = await findAgent(db, task.agent, task.agent_version);
  if (!agent) throw new Error(`Agent ${task.agent} version ${task.agent_version} is gone`);
  return { task, agent };
}

/** Names of the tools that a task may call: the core, its agent's, and those attached to it. */
export async function toolsOf(db: Kysely<Schema>, id: string): Promise<string[]> {
  const [{ agent }, attached] = await Promise.all([
    taskOf(db, id),
    db.selectFrom("task_tools").select("name").where("task_id", "=", id)
      .orderBy("created_at").orderBy("name").execute(),
  ]);
  const names = [...CORE_TOOLS, ...agent.tools, ...attached.map(({ name }) => name)];
  return [...new Set(names)].filter((name) => TOOLKIT.has(name));
}

/** Names of the documents in a task's prompt: its agent's, then those attached to it. */
export async function documentsOf(db: Kysely<Schema>, id: string): Promise<string[]> {
  const [{ agent }, attached] = await Promise.all([
    taskOf(db, id),
    db.selectFrom("task_documents").select("name").where("task_id", "=", id)
      .orderBy("created_at").orderBy("name").execute(),
  ]);
  return [...new Set([...agent.documents, ...attached.map(({ name }) => name)])];
}
