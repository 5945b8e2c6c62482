/** Agents, documents and tools: versions are added and never changed, the newest enabled one counts. */
import type {
  AgentDefinition,
  DocumentDefinition,
  Origin,
  ToolDefinition,
} from "../runtime/core/definitions.ts";
import type { Db } from "./schema.ts";
import { query, type Statement, statement } from "./unit.ts";

type Versioned = "agents" | "documents" | "tools";

export function addAgent(
  agent: AgentDefinition,
  version: number,
  origin: Origin,
  now: number,
): Statement {
  const { tools, documents, limits, web_search, after_task, ...rest } = agent;
  return statement(
    query.insertInto("agents").values({
      ...rest,
      tools_json: JSON.stringify(tools),
      documents_json: JSON.stringify(documents),
      limits_json: JSON.stringify(limits),
      web_search: web_search ? 1 : 0,
      after_task: after_task ? 1 : 0,
      version,
      origin,
      created_at: now,
    }),
  );
}

export function addDocument(
  document: DocumentDefinition,
  version: number,
  origin: Origin,
  now: number,
): Statement {
  return statement(
    query.insertInto("documents").values({ ...document, version, origin, created_at: now }),
  );
}

export function addTool(
  tool: ToolDefinition,
  version: number,
  origin: Origin,
  now: number,
): Statement {
  const { input_schema, ...rest } = tool;
  return statement(
    query.insertInto("tools").values({
      ...rest,
      input_schema_json: JSON.stringify(input_schema),
      version,
      origin,
      created_at: now,
    }),
  );
}

/** The newest enabled version of an agent, or of the version named. */
export async function findAgent(
  db: Db,
  name: string,
  version?: number,
): Promise<(AgentDefinition & { version: number }) | null> {
  let rows = db.selectFrom("agents").selectAll().where("name", "=", name);
  rows = version === undefined
    ? rows.where("disabled", "=", 0)
    : rows.where("version", "=", version);
  const row = await rows.orderBy("version", "desc").limit(1).executeTakeFirst();
  return row ? agentOf(row) : null;
}

function agentOf(row: {
  name: string;
  version: number;
  description: string;
  instruction: string;
  tools_json: string;
  documents_json: string;
  limits_json: string;
  web_search: number;
  model: "fast" | "default" | "strong";
  after_task: number;
}): AgentDefinition & { version: number } {
  return {
    name: row.name,
    version: row.version,
    description: row.description,
    instruction: row.instruction,
    tools: JSON.parse(row.tools_json),
    documents: JSON.parse(row.documents_json),
    limits: JSON.parse(row.limits_json),
    web_search: row.web_search === 1,
    model: row.model,
    after_task: row.after_task === 1,
  };
}

/** Name and description of the newest enabled version of each, by name. */
export function listNewest(
  db: Db,
  table: Versioned,
): Promise<{ name: string; version: number; description: string }[]> {
  return db.selectFrom(table)
    .select(({ fn }) => ["name", fn.max("version").as("version"), "description"])
    .where("disabled", "=", 0)
    .groupBy("name")
    .orderBy("name")
    .execute();
}

/** The newest version of a name with its origin, disabled or not; null when there is none. */
export async function newestVersion(
  db: Db,
  table: Versioned,
  name: string,
): Promise<{ version: number; origin: Origin } | null> {
  const row = await db.selectFrom(table).select(["version", "origin"]).where("name", "=", name)
    .orderBy("version", "desc").limit(1).executeTakeFirst();
  return row ?? null;
}

/** The newest enabled version of each document named, in the order of the names. */
export async function findDocuments(
  db: Db,
  names: readonly string[],
): Promise<DocumentDefinition[]> {
  if (names.length === 0) return [];
  const rows = await db.selectFrom("documents")
    .select(({ fn }) => ["name", "description", "content", fn.max("version").as("version")])
    .where("name", "in", names)
    .where("disabled", "=", 0)
    .groupBy("name")
    .execute();
  return names.flatMap((name) => rows.find((row) => row.name === name) ?? []);
}

/** Attaches a document to a task; a second time changes nothing. */
export function attachDocument(task_id: string, name: string, now: number): Statement {
  return statement(
    query.insertInto("task_documents").values({ task_id, name, created_at: now })
      .onConflict((conflict) => conflict.doNothing()),
  );
}

/** Gives a tool to a task, a written one in this version; a second time changes the version. */
export function attachTool(
  task_id: string,
  name: string,
  version: number | null,
  now: number,
): Statement {
  return statement(
    query.insertInto("task_tools").values({ task_id, name, version, created_at: now })
      .onConflict((conflict) => conflict.columns(["task_id", "name"]).doUpdateSet({ version })),
  );
}

/** A task with the version of its agent that it was started with. */
export async function taskOf(db: Db, id: string) {
  const task = await db.selectFrom("tasks").selectAll().where("id", "=", id)
    .executeTakeFirstOrThrow();
  const agent = await findAgent(db, task.agent, task.agent_version);
  if (!agent) throw new Error(`Agent ${task.agent} version ${task.agent_version} is gone`);
  return { task, agent };
}

/** What the version of its agent that a task was started with names: its tools, or its documents. */
export async function agentNames(
  db: Db,
  task_id: string,
  what: "tools_json" | "documents_json",
): Promise<string[]> {
  const row = await db.selectFrom("tasks").innerJoin(
    "agents",
    (join) =>
      join.onRef("agents.name", "=", "tasks.agent")
        .onRef("agents.version", "=", "tasks.agent_version"),
  )
    .select(`agents.${what} as names_json`).where("tasks.id", "=", task_id)
    .executeTakeFirst();
  if (!row) throw new Error(`The agent of task ${task_id} is gone`);
  return JSON.parse(row.names_json);
}

/** Names of the documents in a task's prompt: its agent's, then those attached to it. */
export async function documentsOf(db: Db, id: string): Promise<string[]> {
  const [own, attached] = await Promise.all([
    agentNames(db, id, "documents_json"),
    db.selectFrom("task_documents").select("name").where("task_id", "=", id)
      .orderBy("created_at").orderBy("name").execute(),
  ]);
  return [...new Set([...own, ...attached.map(({ name }) => name)])];
}
