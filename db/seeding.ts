/**
 * Writes definitions into the database as new versions. What a person or an agent wrote is never
 * overwritten, unless `force` says so, and even then the older versions stay.
 */
import type {
  AgentDefinition,
  DocumentDefinition,
  ToolDefinition,
} from "../runtime/core/definitions.ts";
import { addAgent, addDocument, addTool } from "./definitions.ts";
import type { Db } from "./schema.ts";
import type { Statement, Unit } from "./unit.ts";

export interface Definitions {
  readonly agents: readonly AgentDefinition[];
  readonly documents: readonly DocumentDefinition[];
  readonly tools: readonly ToolDefinition[];
}

export interface Seeding {
  readonly unit: Unit;
  /** What is new or newer, and what was left as a person or an agent made it, as `kind name`. */
  readonly written: readonly string[];
  readonly kept: readonly string[];
}

/** What seeding would write; nothing for what is there already. */
export async function seeding(
  db: Db,
  definitions: Definitions,
  force: boolean,
  now: number,
): Promise<Seeding> {
  const written: string[] = [];
  const kept: string[] = [];
  const unit: Statement[] = [];
  const tables = [
    { table: "agents", rows: definitions.agents, add: addAgent },
    { table: "documents", rows: definitions.documents, add: addDocument },
    { table: "tools", rows: definitions.tools, add: addTool },
  ] as const;
  for (const { table, rows, add } of tables) {
    const known = await db.selectFrom(table).selectAll().orderBy("version").execute();
    const newest = new Map(known.map((row) => [row.name, row]));
    for (const row of rows) {
      const before = newest.get(row.name);
      const version = (before?.version ?? 0) + 1;
      const statement =
        (add as (row: unknown, version: number, origin: "seed", now: number) => Statement)(
          row,
          version,
          "seed",
          now,
        );
      if (before && same(before, row)) continue;
      if (before && before.origin !== "seed" && !force) {
        kept.push(`${table} ${row.name}`);
        continue;
      }
      unit.push(statement);
      written.push(`${table} ${row.name}`);
    }
  }
  return { unit, written, kept };
}

/** Whether a row says what a definition says; booleans are 0 or 1 there, lists JSON. */
function same(row: object, definition: object): boolean {
  const columns = row as Record<string, unknown>;
  return Object.entries(definition).every(([field, value]) => {
    if (typeof value === "boolean") return columns[field] === (value ? 1 : 0);
    if (value !== null && typeof value === "object") {
      return columns[`${field}_json`] === JSON.stringify(value);
    }
    return columns[field] === value;
  });
}
