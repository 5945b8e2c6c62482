/**
 * Writes definitions into the database as new versions. What a person or an agent wrote is never
 * overwritten, unless `force` says so, and even then the older versions stay.
 */
import type {
  AgentDefinition,
  DocumentDefinition,
  Origin,
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

/** Whether anything was ever seeded: a first start may have been killed before it came to that. */
export async function isSeeded(db: Db): Promise<boolean> {
  const agent = await db.selectFrom("agents").select("name").limit(1).executeTakeFirst();
  return agent !== undefined;
}

/** What seeding would write; nothing for what is there already. */
export async function seeding(
  db: Db,
  { agents, documents, tools }: Definitions,
  force: boolean,
  now: number,
): Promise<Seeding> {
  const parts = [
    await seedingOf(db, "agents", agents, addAgent, force, now),
    await seedingOf(db, "documents", documents, addDocument, force, now),
    await seedingOf(db, "tools", tools, addTool, force, now),
  ];
  return {
    unit: parts.flatMap(({ unit }) => unit),
    written: parts.flatMap(({ written }) => written),
    kept: parts.flatMap(({ kept }) => kept),
  };
}

async function seedingOf<Definition extends { readonly name: string }>(
  db: Db,
  table: keyof Definitions,
  definitions: readonly Definition[],
  add: (definition: Definition, version: number, origin: Origin, now: number) => Statement,
  force: boolean,
  now: number,
): Promise<Seeding> {
  const written: string[] = [];
  const kept: string[] = [];
  const unit: Statement[] = [];
  const known = await db.selectFrom(table).selectAll().orderBy("version").execute();
  const newest = new Map(known.map((row) => [row.name, row]));
  for (const definition of definitions) {
    const { name } = definition;
    const before = newest.get(name);
    if (before && same(before, definition)) continue;
    if (before && before.origin !== "seed" && !force) {
      kept.push(`${table} ${name}`);
      continue;
    }
    unit.push(add(definition, (before?.version ?? 0) + 1, "seed", now));
    written.push(`${table} ${name}`);
  }
  return { unit, written, kept };
}

/** Whether a row says what a definition says; booleans are 0 or 1 there, lists JSON. */
function same(row: object, definition: object): boolean {
  const columns = new Map<string, unknown>(Object.entries(row));
  return Object.entries(definition).every(([field, value]) => {
    if (typeof value === "boolean") return columns.get(field) === (value ? 1 : 0);
    if (value !== null && typeof value === "object") {
      return columns.get(`${field}_json`) === JSON.stringify(value);
    }
    return columns.get(field) === value;
  });
}
