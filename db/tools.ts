/** Tools that agents wrote: a version is added and never changed; a person disables or deletes them. */
import { sql } from "kysely";
import { asTool, effectOf, type ToolTest } from "../runtime/core/toolkit/written_tool.ts";
import { CORE_TOOLS, TOOLKIT } from "../runtime/core/toolkit/mod.ts";
import type { Tool, WrittenTool } from "../runtime/core/toolkit/tool.ts";
import { agentNames } from "./definitions.ts";
import type { Db } from "./schema.ts";
import { iso } from "./times.ts";
import { query, type Statement, statement } from "./unit.ts";

/**
 * Adds a version; refused when somebody else added it meanwhile. It is as disabled as the others of its name:
 * a person may have said so while it was tested.
 */
export function addWrittenTool(
  tool: WrittenTool,
  tests: readonly ToolTest[],
  tree_id: string,
  now: number,
): Statement {
  return statement(
    query.insertInto("tools").values({
      name: tool.name,
      version: tool.version,
      description: tool.description,
      input_schema_json: JSON.stringify(tool.input_schema),
      effect: effectOf(tool.permissions),
      source: tool.source,
      permissions_json: JSON.stringify(tool.permissions),
      tests_json: JSON.stringify(tests),
      origin: "agent",
      tree_id,
      created_at: now,
      disabled: sql`(SELECT coalesce(max(disabled), 0) FROM tools WHERE name = ${tool.name})`,
    }).onConflict((conflict) => conflict.doNothing()),
    { expect: "one", refusal: `${tool.name} got a version ${tool.version} meanwhile` },
  );
}

/** The version named, or else the newest enabled one; null when there is none that an agent wrote. */
export async function findWrittenTool(
  db: Db,
  name: string,
  version?: number,
): Promise<WrittenTool | null> {
  let rows = db.selectFrom("tools").selectAll().where("name", "=", name)
    .where("disabled", "=", 0).where("source", "is not", null);
  if (version !== undefined) rows = rows.where("version", "=", version);
  const row = await rows.orderBy("version", "desc").limit(1).executeTakeFirst();
  return row ? writtenOf(row) : null;
}

/** The newest version of a name, disabled or not, with who wrote it. */
export function newestTool(db: Db, name: string) {
  return db.selectFrom("tools").select(["version", "origin", "tree_id", "disabled"])
    .where("name", "=", name).orderBy("version", "desc").limit(1).executeTakeFirst();
}

/** Written tools that are attached to a task, in the versions that it was given. */
export async function writtenToolsOf(db: Db, task_id: string): Promise<WrittenTool[]> {
  const rows = await db.selectFrom("task_tools")
    .innerJoin("tools", (join) =>
      join.onRef("tools.name", "=", "task_tools.name")
        .onRef("tools.version", "=", "task_tools.version"))
    .selectAll("tools")
    .where("task_tools.task_id", "=", task_id).where("tools.disabled", "=", 0)
    .orderBy("task_tools.created_at").orderBy("tools.name").execute();
  return rows.map(writtenOf);
}

const REFUSAL = "There is no such tool that an agent wrote";

/** Disables or enables every version of a tool that an agent wrote. */
export function setToolDisabled(name: string, disabled: boolean): Statement {
  return statement(
    query.updateTable("tools").set({ disabled: disabled ? 1 : 0 })
      .where("name", "=", name).where("source", "is not", null),
    { expect: "some", refusal: REFUSAL },
  );
}

/** Deletes every version of a tool that an agent wrote, and takes it from the tasks that have it. */
export function deleteTool(name: string): Statement[] {
  return [
    statement(
      query.deleteFrom("tools").where("name", "=", name).where("source", "is not", null),
      { expect: "some", refusal: REFUSAL },
    ),
    statement(query.deleteFrom("task_tools").where("name", "=", name)),
  ];
}

function writtenOf(row: {
  name: string;
  version: number;
  description: string;
  input_schema_json: string;
  source: string | null;
  permissions_json: string | null;
}): WrittenTool {
  return {
    name: row.name,
    version: row.version,
    description: row.description,
    input_schema: JSON.parse(row.input_schema_json),
    source: row.source!,
    permissions: JSON.parse(row.permissions_json ?? "{}"),
  };
}

/** Every version of every tool, the newest of each name first. */
export async function listTools(db: Db, name?: string) {
  let rows = db.selectFrom("tools").selectAll().orderBy("name").orderBy("version", "desc");
  if (name !== undefined) rows = rows.where("name", "=", name);
  return (await rows.execute()).map((row) => ({
    name: row.name,
    version: row.version,
    description: row.description,
    input_schema: JSON.parse(row.input_schema_json),
    effect: row.effect,
    origin: row.origin,
    disabled: row.disabled === 1,
    source: row.source,
    permissions: row.permissions_json === null ? null : JSON.parse(row.permissions_json),
    tests: row.tests_json === null ? null : JSON.parse(row.tests_json),
    created_at: iso(row.created_at),
  }));
}

/** The tools that a task may call: the core, its agent's, and those attached to it. */
export async function toolsOf(db: Db, id: string): Promise<Tool[]> {
  const [own, attached, written] = await Promise.all([
    agentNames(db, id, "tools_json"),
    db.selectFrom("task_tools").select("name").where("task_id", "=", id)
      .orderBy("created_at").orderBy("name").execute(),
    writtenToolsOf(db, id),
  ]);
  const names = new Set([...CORE_TOOLS, ...own, ...attached.map(({ name }) => name)]);
  return [
    ...[...names].flatMap((name) => TOOLKIT.get(name) ?? []),
    ...written.map(asTool),
  ];
}
