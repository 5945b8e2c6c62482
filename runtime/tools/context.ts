/** What is written down about a task that its prompt and its tools need. */
import type { Kysely } from "kysely";
import { findAgent } from "../../db/definitions.ts";
import type { Schema } from "../../db/schema.ts";
import { writtenToolsOf } from "../../db/tools.ts";
import { CORE_TOOLS, type Tool, TOOLKIT } from "../core/toolkit/mod.ts";
import { asTool } from "../core/toolkit/written_tool.ts";
import type { Parts } from "../kernel.ts";

/** A task with the version of its agent that it was started with. */
export async function taskOf(db: Kysely<Schema>, id: string) {
  const task = await db.selectFrom("tasks").selectAll().where("id", "=", id)
    .executeTakeFirstOrThrow();
  const agent = await findAgent(db, task.agent, task.agent_version);
  if (!agent) throw new Error(`Agent ${task.agent} version ${task.agent_version} is gone`);
  return { task, agent };
}

/** The tools that a task may call: the core, its agent's, and those attached to it. */
export async function toolsOf(db: Kysely<Schema>, id: string): Promise<Tool[]> {
  const [{ agent }, attached, written] = await Promise.all([
    taskOf(db, id),
    db.selectFrom("task_tools").select("name").where("task_id", "=", id)
      .orderBy("created_at").orderBy("name").execute(),
    writtenToolsOf(db, id),
  ]);
  const names = new Set([...CORE_TOOLS, ...agent.tools, ...attached.map(({ name }) => name)]);
  return [
    ...[...names].flatMap((name) => TOOLKIT.get(name) ?? []),
    ...written.map(asTool),
  ];
}

/** Who an attachment is for: the task that asked for context or tools, or else the caller. */
export async function beneficiary(
  { store }: Parts,
  { task_id }: { task_id: string },
): Promise<string> {
  const { purpose, parent_id } = await store.read.selectFrom("tasks")
    .select(["purpose", "parent_id"]).where("id", "=", task_id).executeTakeFirstOrThrow();
  return (purpose === "context" || purpose === "tools") && parent_id ? parent_id : task_id;
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
