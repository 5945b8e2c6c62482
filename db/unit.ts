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

export type SqlValue = string | number | null;
export type Row = Record<string, SqlValue>;

/** Of types only: what a row looks like that a statement gives back. */
declare const row: unique symbol;

export interface Statement<Given = unknown> {
  readonly [row]?: Given;
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  /** `one`: exactly one row must be touched; `some`: at least one. Otherwise the unit is refused. */
  readonly expect?: "one" | "some";
  /** Which of its rows are wanted (RETURNING or SELECT): the only one, or as many as there are. */
  readonly returns?: "one" | "all";
  /** What is said when the expectation fails. */
  readonly refusal?: string;
}

export type Unit = readonly Statement[];

/** Why nothing of a unit took effect. */
interface UnitFailure {
  readonly ok: false;
  /** By a guard of its own; otherwise it failed. */
  readonly refused: boolean;
  readonly reason: string;
}

/** What an engine answers: the rows of each statement, in their order. */
export type UnitAnswer =
  | { readonly ok: true; readonly rows: readonly (readonly Row[])[] }
  | UnitFailure;

export type UnitResult = { readonly ok: true; readonly rows: Rows } | UnitFailure;

/**
 * What the statements of a committed unit gave back. Whoever built the unit keeps the statement and asks by
 * it, wherever in the unit it stands:
 *
 *     const claiming = claimActor({ … });
 *     const result = await store.commit([claiming, taskRuns({ … })]);
 *     const [actor] = result.ok ? result.rows.of(claiming) : [];
 */
export class Rows {
  readonly #unit: Unit;
  readonly #rows: readonly (readonly Row[])[];

  constructor(unit: Unit, rows: readonly (readonly Row[])[]) {
    this.#unit = unit;
    this.#rows = rows;
  }

  /** @throws {Error} for a statement of another unit */
  of<Given>(statement: Statement<Given>): readonly Given[] {
    const at = this.#unit.indexOf(statement);
    if (at < 0) throw new Error(`Not a statement of this unit: ${statement.sql}`);
    // The query that the statement was built from gives such rows.
    return this.#rows[at] as readonly Given[];
  }
}

/** What a row looks like that a statement, or a function that builds it, gives back. */
export type RowOf<Of> = Of extends Statement<infer Given> ? Given
  : Of extends (...args: never[]) => Statement<infer Given> ? Given
  : never;

/** Builds and types queries; runs none. */
export const query = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

interface Compilable<Given> {
  compile(): CompiledQuery<Given>;
}

type Expectation = Pick<Statement, "expect" | "returns" | "refusal">;

/** A query as a statement of a unit. */
export function statement<Given>(
  built: Compilable<Given>,
  expectation: Expectation = {},
): Statement<Given> {
  const { sql, parameters } = built.compile();
  // The schema types what a builder is given; the compiled query forgets it.
  return { sql, parameters: parameters as SqlValue[], ...expectation };
}

/** Stands for a value that is known only when the prepared statement is used. */
class Placeholder {
  constructor(readonly name: string) {}
}

/**
 * Builds a query once and gives a function that only fills in its values: compiling costs more than
 * running it, and the statements of the hot path run thousands of times a second.
 *
 * `build` receives an object whose every field is a placeholder of the field's type. What rows look like is
 * known of a statement whose builder says the type of its parameters itself.
 */
export function prepared<Params extends { [name: string]: SqlValue }, Given = unknown>(
  build: (params: Params) => Compilable<Given>,
  expectation: Expectation = {},
): (params: Params) => Statement<Given> {
  // The builder passes them on and looks at none.
  const placeholders = new Proxy({}, {
    get: (_, name) => new Placeholder(String(name)),
  }) as Params;
  const { sql, parameters } = build(placeholders).compile();
  const slots = parameters.map((parameter) =>
    // What is no placeholder was typed by the schema.
    parameter instanceof Placeholder ? parameter.name : { literal: parameter as SqlValue }
  );
  return (params) => ({
    sql,
    parameters: slots.map((slot) => typeof slot === "string" ? params[slot] : slot.literal),
    ...expectation,
  });
}
