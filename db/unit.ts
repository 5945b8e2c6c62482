/**
 * A unit of work: statements that take effect together or not at all, each with the number of rows
 * that it must touch. It is data, so that it can be posted to the store worker and put into a group.
 */
import {
  type CompiledQuery,
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { Schema } from "./schema.ts";

export type Value = string | number | null;
export type Row = Record<string, Value>;

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly Value[];
  /** `one`: exactly one row must be touched; `some`: at least one. Otherwise the unit is refused. */
  readonly expect?: "one" | "some";
  /** Which of its rows are wanted (RETURNING or SELECT): the only one, or as many as there are. */
  readonly returns?: "one" | "all";
  /** What is said when the expectation fails. */
  readonly refusal?: string;
}

export type Unit = readonly Statement[];

/** The rows of each statement, or why nothing of the unit took effect. */
export type UnitResult =
  | { readonly ok: true; readonly rows: readonly (readonly Row[])[] }
  | { readonly ok: false; readonly refused: boolean; readonly reason: string };

/** Builds and types queries; runs none. */
export const query = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

interface Compilable {
  compile(): CompiledQuery;
}

type Expectation = Pick<Statement, "expect" | "returns" | "refusal">;

/** A query as a statement of a unit. */
export function statement(built: Compilable, expectation: Expectation = {}): Statement {
  const { sql, parameters } = built.compile();
  return { sql, parameters: parameters as Value[], ...expectation };
}

/** Stands for a value that is known only when the prepared statement is used. */
class Placeholder {
  constructor(readonly name: string) {}
}

/**
 * Builds a query once and gives a function that only fills in its values: compiling costs more than
 * running it, and the statements of the hot path run thousands of times a second.
 *
 * `build` receives an object whose every field is a placeholder of the field's type.
 */
export function prepared<Params extends { [name: string]: Value }>(
  build: (params: Params) => Compilable,
  expectation: Expectation = {},
): (params: Params) => Statement {
  const placeholders = new Proxy({}, {
    get: (_, name) => new Placeholder(String(name)),
  }) as Params;
  const { sql, parameters } = build(placeholders).compile();
  const slots = parameters.map((parameter) =>
    parameter instanceof Placeholder ? parameter.name : { literal: parameter as Value }
  );
  return (params) => ({
    sql,
    parameters: slots.map((slot) => typeof slot === "string" ? params[slot] : slot.literal),
    ...expectation,
  });
}
