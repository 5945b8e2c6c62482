/**
 * A small libSQL server: Hrana 2 and 3 over HTTP with JSON, on a database file of its own. Each
 * stream is a connection; a baton leads to it, is good for one request, and ends with the stream.
 */
import Database from "libsql";
import { newDatabase } from "./database.ts";
import { tempFolder } from "./folder.ts";

export interface HranaServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly host: string;
  /** Every statement that arrived, in the order in which it ran. */
  readonly ran: string[];
  /** What the server fails at: statements that match. */
  failing: RegExp | null;
  /** How many streams are open. */
  streams(): number;
  /** The names of the tables that are there. */
  tables(): string[];
}

type Value =
  | { type: "null" }
  | { type: "integer"; value: string }
  | { type: "float"; value: number }
  | { type: "text"; value: string }
  | { type: "blob"; base64: string };

interface Sql {
  sql?: string;
  sql_id?: number;
}

interface Stmt extends Sql {
  args?: Value[];
  named_args?: { name: string; value: Value }[];
  want_rows?: boolean;
}

type Condition =
  | { type: "ok" | "error"; step: number }
  | { type: "not"; cond: Condition }
  | { type: "and" | "or"; conds: Condition[] }
  | { type: "is_autocommit" };

type Request =
  | { type: "execute"; stmt: Stmt }
  | { type: "batch"; batch: { steps: { condition?: Condition | null; stmt: Stmt }[] } }
  | { type: "sequence" | "describe" } & Sql
  | { type: "store_sql"; sql_id: number; sql: string }
  | { type: "close_sql"; sql_id: number }
  | { type: "get_autocommit" | "close" };

interface Stream {
  readonly db: Database.Database;
  /** Called with every statement before it runs. */
  readonly before: (sql: string) => void;
  readonly texts: Map<number, string>;
}

/**
 * Starts a server.
 * @param token when given, whoever comes without it is turned away
 * @param migrated begins with what a first opening leaves there
 */
export async function startHranaServer(
  { token, migrated = false }: { token?: string; migrated?: boolean } = {},
): Promise<HranaServer> {
  const folder = await tempFolder();
  const path = `${folder.path}/server.db`;
  if (migrated) await newDatabase(path, "empty");
  const streams = new Map<string, Stream>();
  const ran: string[] = [];
  const before = (sql: string) => {
    ran.push(sql);
    if (hrana.failing?.test(sql)) throw new Error("The server fails");
  };

  const open = (): Stream => {
    const db = new Database(path);
    db.exec("PRAGMA journal_mode = WAL");
    return { db, before, texts: new Map() };
  };
  const close = ({ db }: Stream) => {
    // Whatever was not committed is lost with its stream.
    if (db.inTransaction) db.exec("ROLLBACK");
    db.close();
  };

  const pipeline = async (request: globalThis.Request): Promise<Response> => {
    const body: { baton?: string | null; requests: Request[] } = await request.json();
    const stream = body.baton ? streams.get(body.baton) : open();
    if (!stream) return new Response("The baton is not valid", { status: 400 });
    if (body.baton) streams.delete(body.baton);
    let closed = false;
    const results = body.requests.map((one) => {
      if (one.type === "close") {
        closed = true;
        return { type: "ok", response: { type: "close" } };
      }
      try {
        return { type: "ok", response: { type: one.type, ...answer(stream, one) } };
      } catch (error) {
        return { type: "error", error: failure(error) };
      }
    });
    const baton = closed ? null : crypto.randomUUID();
    if (baton === null) close(stream);
    else streams.set(baton, stream);
    return Response.json({ baton, base_url: null, results });
  };

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (token !== undefined && request.headers.get("authorization") !== `Bearer ${token}`) {
      return new Response("The token is not valid", { status: 401 });
    }
    if (request.method === "GET" && /^\/v[23]$/.test(pathname)) return new Response();
    if (request.method === "POST" && /^\/v[23]\/pipeline$/.test(pathname)) return pipeline(request);
    return new Response("There is nothing here", { status: 404 });
  });

  const host = `127.0.0.1:${server.addr.port}`;
  const hrana: HranaServer = {
    url: `http://${host}`,
    host,
    ran,
    failing: null,
    streams: () => streams.size,
    tables: () => {
      const stream = open();
      const sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
      const rows = stream.db.prepare(sql).all([]) as { name: string }[];
      close(stream);
      return rows.map(({ name }) => name);
    },
    [Symbol.asyncDispose]: async () => {
      await server.shutdown();
      for (const stream of streams.values()) close(stream);
      await folder[Symbol.asyncDispose]();
    },
  };
  return hrana;
}

function failure(error: unknown): { message: string; code: string | null } {
  const { message, code } = error as { message: string; code?: string };
  return { message, code: code ?? null };
}

/** What goes into the response besides its type. */
function answer(stream: Stream, request: Request): Record<string, unknown> {
  switch (request.type) {
    case "execute":
      return { result: execute(stream, request.stmt) };
    case "batch": {
      const results: unknown[] = [];
      const errors: unknown[] = [];
      for (const { condition, stmt } of request.batch.steps) {
        let [result, error]: unknown[] = [null, null];
        try {
          if (!condition || holds(condition, results, errors, stream)) {
            result = execute(stream, stmt);
          }
        } catch (thrown) {
          error = failure(thrown);
        }
        results.push(result);
        errors.push(error);
      }
      return { result: { step_results: results, step_errors: errors } };
    }
    case "sequence":
      stream.db.exec(textOf(stream, request));
      return {};
    case "describe": {
      const ready = stream.db.prepare(textOf(stream, request));
      const cols = ready.columns().map(({ name, type }) => ({ name, decltype: type }));
      return { result: { params: [], cols, is_explain: false, is_readonly: ready.reader } };
    }
    case "store_sql":
      stream.texts.set(request.sql_id, request.sql);
      return {};
    case "close_sql":
      stream.texts.delete(request.sql_id);
      return {};
    case "get_autocommit":
      return { is_autocommit: !stream.db.inTransaction };
    default:
      throw new Error(`Unknown request: ${request.type}`);
  }
}

function holds(
  condition: Condition,
  results: readonly unknown[],
  errors: readonly unknown[],
  stream: Stream,
): boolean {
  const also = (other: Condition) => holds(other, results, errors, stream);
  switch (condition.type) {
    case "ok":
      return results[condition.step] !== null;
    case "error":
      return errors[condition.step] !== null;
    case "not":
      return !also(condition.cond);
    case "and":
      return condition.conds.every(also);
    case "or":
      return condition.conds.some(also);
    case "is_autocommit":
      return !stream.db.inTransaction;
  }
}

function textOf({ texts }: Stream, { sql, sql_id }: Sql): string {
  const text = sql ?? texts.get(sql_id!);
  if (text === undefined) throw new Error(`No statement is stored as ${sql_id}`);
  return text;
}

function execute(stream: Stream, stmt: Stmt): Record<string, unknown> {
  const { db } = stream;
  const sql = textOf(stream, stmt);
  stream.before(sql);
  const ready = db.prepare(sql);
  const named = stmt.named_args?.map((
    { name, value },
  ) => [name.replace(/^[:@$]/, ""), read(value)]);
  const parameters = named?.length ? Object.fromEntries(named) : (stmt.args ?? []).map(read);
  let rows: unknown[][] = [];
  let affected: number;
  const cols = ready.reader
    ? ready.columns().map(({ name, type }) => ({ name, decltype: type }))
    : [];
  if (ready.reader) {
    const before = count(db, "total_changes()");
    rows = ready.safeIntegers(true).raw(true).all(parameters) as unknown[][];
    // `changes()` alone would be that of an earlier statement, when this one only reads.
    affected = count(db, "total_changes()") === before ? 0 : count(db, "changes()");
  } else affected = ready.run(parameters).changes;
  return {
    cols,
    rows: stmt.want_rows === false ? [] : rows.map((row) => row.map(write)),
    affected_row_count: affected,
    last_insert_rowid: String(count(db, "last_insert_rowid()")),
  };
}

function count(db: Database.Database, what: string): number {
  return (db.prepare(`SELECT ${what} AS n`).get([]) as { n: number }).n;
}

function read(value: Value): unknown {
  switch (value.type) {
    case "null":
      return null;
    case "integer":
      return BigInt(value.value);
    case "blob":
      return Uint8Array.fromBase64(value.base64);
    default:
      return value.value;
  }
}

function write(value: unknown): Value {
  if (value === null) return { type: "null" };
  if (typeof value === "bigint") return { type: "integer", value: String(value) };
  if (typeof value === "number") return { type: "float", value };
  if (typeof value === "string") return { type: "text", value };
  return { type: "blob", base64: new Uint8Array(value as ArrayBuffer).toBase64() };
}
