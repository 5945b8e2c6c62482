/** Kysely on a function that runs one query: an engine inside the store worker, or a post to it. */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { Row, SqlValue } from "./unit.ts";

export type RunQuery = (sql: string, parameters: readonly SqlValue[]) => Row[] | Promise<Row[]>;

/**
 * A Kysely database over `run`.
 * @param transactions whether BEGIN and COMMIT may be sent; only the owner of a connection may,
 *   everyone else commits units of work
 */
export function kyselyOver<Tables>(run: RunQuery, transactions: boolean): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new LibsqlDialect(run, transactions) });
}

class LibsqlDialect implements Dialect {
  constructor(readonly run: RunQuery, readonly transactions: boolean) {}
  createAdapter = () => new LibsqlAdapter(this.transactions);
  createDriver = () => new LibsqlDriver(this.run, this.transactions);
  // deno-lint-ignore no-explicit-any -- the signature is Kysely's
  createIntrospector = (db: Kysely<any>) => new SqliteIntrospector(db);
  createQueryCompiler = () => new SqliteQueryCompiler();
}

class LibsqlAdapter extends SqliteAdapter {
  constructor(readonly transactions: boolean) {
    super();
  }

  // Reads need not wait for each other's way there and back: the worker answers them in their order. Only
  // what stands between BEGIN and COMMIT must have the connection to itself.
  override get supportsMultipleConnections(): boolean {
    return !this.transactions;
  }

  // SQLite's schema statements are transactional: a migration that is cut off leaves nothing behind.
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class LibsqlDriver implements Driver {
  readonly #connection: DatabaseConnection;

  constructor(readonly run: RunQuery, readonly transactions: boolean) {
    this.#connection = {
      executeQuery: async <R>(query: CompiledQuery): Promise<QueryResult<R>> => ({
        // The query that was built says what it takes and gives.
        rows: await run(query.sql, query.parameters as SqlValue[]) as R[],
      }),
      streamQuery: () => {
        throw new Error("Streaming queries are not supported: page through the rows");
      },
    };
  }

  async init() {}
  async destroy() {}
  async releaseConnection() {}
  acquireConnection = () => Promise.resolve(this.#connection);

  async beginTransaction() {
    if (!this.transactions) {
      throw new Error("Cannot begin a transaction here: commit a unit of work");
    }
    await this.run("BEGIN IMMEDIATE", []);
  }
  async commitTransaction() {
    await this.run("COMMIT", []);
  }
  async rollbackTransaction() {
    await this.run("ROLLBACK", []);
  }
}
