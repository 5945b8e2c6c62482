/**
 * Runs groups of units on a database: libSQL's native library for a local file, its client for a
 * remote server. Lives inside the store worker.
 */
import type { Row, SqlValue, Statement, Unit, UnitAnswer } from "./unit.ts";
import {
  STORE_BUSY_MS,
  STORE_CACHE_KIB,
  STORE_CHECKPOINT_PAGES,
  STORE_STATEMENTS_MAX,
} from "../runtime/core/limits.ts";
import { reasonOf } from "../runtime/core/reason.ts";

/** The port to a libSQL database. A group is one transaction; each unit in it stands or falls alone. */
export interface Engine {
  group(units: readonly Unit[]): UnitAnswer[] | Promise<UnitAnswer[]>;
  /** Runs one statement outside of any group: migrations and reads. */
  run(sql: string, parameters: readonly SqlValue[]): Row[] | Promise<Row[]>;
  /**
   * Writes the log back, so that the database file alone holds everything. Waits for nobody: true when
   * it does, false when a reader still needs the log.
   */
  writeBack(): boolean;
  close(): void;
}

/** What a unit failed of; carried out of the savepoint that it rolls back. */
class Refused extends Error {}

/** Throws when a statement touched another number of rows than it must. */
function check(statement: Statement, touched: number): void {
  const { expect } = statement;
  if (expect === "one" && touched !== 1 || expect === "some" && touched === 0) {
    throw new Refused(statement.refusal ?? `Expected ${expect} row, touched ${touched}`);
  }
}

/**
 * What is the unit's own fault (a rule of the schema, a statement that cannot be) is refused like a guard
 * that does not hold: the same unit would fail again. What is the store's (a full disk, a lock) is not.
 */
function failure(error: unknown): UnitAnswer {
  const reason = reasonOf(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const refused = error instanceof Refused ||
    /^SQLITE_(CONSTRAINT|ERROR|MISMATCH|RANGE|TOOBIG)/.test(code);
  return { ok: false, refused, reason };
}

/**
 * Opens a local database file.
 * @throws what the library throws, when the file cannot be opened or is not a database
 */
export async function openLocal(path: string, readonly: boolean): Promise<Engine> {
  const { default: Database } = await import("libsql");
  const db = new Database(path);
  db.exec(`PRAGMA busy_timeout = ${STORE_BUSY_MS}`);
  db.exec("PRAGMA journal_mode = WAL");
  // FULL: a commit that was answered survives a power cut.
  db.exec("PRAGMA synchronous = FULL");
  db.exec("PRAGMA foreign_keys = ON");
  db.exec(`PRAGMA cache_size = ${-STORE_CACHE_KIB}`);
  db.exec(`PRAGMA wal_autocheckpoint = ${STORE_CHECKPOINT_PAGES}`);
  // Else INSERT OR REPLACE would remove rows past the triggers that keep the journal as it is.
  db.exec("PRAGMA recursive_triggers = ON");
  if (readonly) db.exec("PRAGMA query_only = ON");
  const statements = new Map<string, ReturnType<typeof db.prepare>>();

  /** Compiling a statement costs more than running it. */
  const prepare = (sql: string) => {
    let ready = statements.get(sql);
    if (ready) return ready;
    if (statements.size >= STORE_STATEMENTS_MAX) statements.clear();
    statements.set(sql, ready = db.prepare(sql));
    return ready;
  };

  /** Reading one row costs half of what reading all of one costs. */
  const rowsOf = (ready: ReturnType<typeof db.prepare>, { returns, parameters }: Statement) => {
    // The library has no types for it: what SQLite gives is a row.
    if (returns === "all") return ready.all(parameters) as Row[];
    const row = ready.get(parameters) as Row | undefined;
    return row ? [row] : [];
  };

  const runUnit = (unit: Unit): UnitAnswer => {
    db.exec("SAVEPOINT unit");
    try {
      const rows = unit.map((statement): Row[] => {
        const ready = prepare(statement.sql);
        if (statement.returns) {
          const found = rowsOf(ready, statement);
          if (statement.expect) check(statement, found.length);
          return found;
        }
        const { changes } = ready.run(statement.parameters);
        if (statement.expect) check(statement, changes);
        return [];
      });
      db.exec("RELEASE unit");
      return { ok: true, rows };
    } catch (error) {
      db.exec("ROLLBACK TO unit");
      db.exec("RELEASE unit");
      return failure(error);
    }
  };

  return {
    group(units) {
      db.exec("BEGIN IMMEDIATE");
      try {
        const results = units.map(runUnit);
        db.exec("COMMIT");
        return results;
      } catch (error) {
        if (db.inTransaction) db.exec("ROLLBACK");
        throw error;
      }
    },
    run(sql, parameters) {
      const ready = prepare(sql);
      // As above.
      if (ready.reader) return ready.all(parameters) as Row[];
      ready.run(parameters);
      return [];
    },
    writeBack() {
      const { log, checkpointed } = checkpoint(db, "PASSIVE");
      return log === checkpointed;
    },
    close() {
      // A log that is left behind would be played into whatever file stands beside it at the next start.
      try {
        if (!readonly) {
          db.exec("PRAGMA busy_timeout = 0");
          checkpoint(db, "TRUNCATE");
        }
      } catch {
        // A disk that takes nothing: the log has it, and the next start has the log.
      }
      db.close();
    },
  };
}

/** Pages of the log, and how many of them the database file has; both are -1 without a log. */
interface Checkpoint {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}

function checkpoint(
  db: { prepare(sql: string): { get(parameters: readonly SqlValue[]): unknown } },
  mode: "PASSIVE" | "TRUNCATE",
): Checkpoint {
  // What SQLite gives for this pragma: https://sqlite.org/pragma.html#pragma_wal_checkpoint
  // Passive hinders nobody, and the log keeps its length: what is written next need not lengthen it, which
  // makes a commit a tenth slower.
  return db.prepare(`PRAGMA wal_checkpoint(${mode})`).get([]) as Checkpoint;
}

/**
 * Connects to a libSQL server (`libsql://`, `http://`, `https://`).
 * @param url the address; a token stands in it as `?authToken=…`
 */
export async function openRemote(url: string): Promise<Engine> {
  const { createClient } = await import("@libsql/client/http");
  const client = createClient({
    url,
    intMode: "number",
    // "fetch failed" alone says nothing: why it did stands in the cause.
    fetch: (request: Request) =>
      fetch(request).catch((error) => {
        throw error.cause instanceof Error ? error.cause : error;
      }),
  });
  // The client's rows are more than objects, and hold the same values.
  const plain = (rows: readonly object[]) => rows.map((row) => ({ ...row }) as Row);
  // A statement outside of a transaction gets a connection of its own on the server, where a BEGIN
  // would end with it: what the migrations say between BEGIN and COMMIT goes through this one.
  let begun: Awaited<ReturnType<typeof client.transaction>> | null = null;
  return {
    async group(units) {
      const transaction = await client.transaction("write");
      try {
        const results: UnitAnswer[] = [];
        for (const unit of units) {
          await transaction.execute("SAVEPOINT unit");
          try {
            const rows: Row[][] = [];
            for (const statement of unit) {
              const { sql, parameters } = statement;
              const found = await transaction.execute({ sql, args: [...parameters] });
              if (statement.expect) {
                check(statement, statement.returns ? found.rows.length : found.rowsAffected);
              }
              rows.push(statement.returns ? plain(found.rows) : []);
            }
            await transaction.execute("RELEASE unit");
            results.push({ ok: true, rows });
          } catch (error) {
            await transaction.execute("ROLLBACK TO unit");
            await transaction.execute("RELEASE unit");
            results.push(failure(error));
          }
        }
        await transaction.commit();
        return results;
      } finally {
        transaction.close();
      }
    },
    async run(sql, parameters) {
      if (sql === "BEGIN IMMEDIATE") {
        begun = await client.transaction("write");
        return [];
      }
      if (begun && (sql === "COMMIT" || sql === "ROLLBACK")) {
        const ended = begun;
        begun = null;
        await (sql === "COMMIT" ? ended.commit() : ended.rollback());
        return [];
      }
      return plain((await (begun ?? client).execute({ sql, args: [...parameters] })).rows);
    },
    // The server keeps its own files.
    writeBack: () => true,
    close: () => client.close(),
  };
}
