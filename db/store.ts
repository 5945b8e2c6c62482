/**
 * The kernel's side of the store: collects the units of work of a turn into one group, posts it to
 * the store worker, and answers everyone after the one fsync.
 */
import type { Kysely } from "kysely";
import {
  STORE_GROUP_MAX,
  STORE_GROUPS_AT_ONCE,
  STORE_QUEUE_MAX,
  STORE_STAMP_GROUPS,
} from "../runtime/core/limits.ts";
import { hasNul } from "../runtime/core/text.ts";
import { kyselyOver } from "./dialect.ts";
import type { Schema } from "./schema.ts";
import type { StoreReply, StoreRequest } from "./store_worker.ts";
import {
  type Row,
  Rows,
  type SqlValue,
  type Statement,
  type Unit,
  type UnitAnswer,
  type UnitResult,
} from "./unit.ts";

/** Beside the units of a group: by it a database that has lost its latest commits is known. */
const STAMP: Unit = [
  { sql: "UPDATE identity SET stamp = stamp + 1 RETURNING stamp", parameters: [], returns: "one" },
];

/** The database could not be opened, or its worker died. The message names the cause. */
export class StoreError extends Error {
  override name = "StoreError";
}

/** The port to everything that is written down. */
export interface Store {
  /** Whether this start created the database. */
  readonly created: boolean;
  /** Of the database itself, wherever its file is moved to. */
  readonly id: string;
  /** How far it had come when it was opened; grows with what is written. */
  readonly stamp: number;
  /** Reads, on the second, read-only connection. */
  readonly read: Kysely<Schema>;
  /**
   * Makes a unit of work durable.
   * @returns what its statements gave back, or why it was refused; then nothing of it took effect
   * @throws {StoreError} when the outcome is unknown, because the store died
   */
  commit(unit: Unit): Promise<UnitResult>;
  /** Resolves when the store is gone: with null after `close`, else with the reason. */
  readonly gone: Promise<string | null>;
  /**
   * Writes the log back into the database file, so that a copy of the file alone holds everything.
   * @returns whether it does now; not while somebody reads or writes
   */
  writeBack(): Promise<boolean>;
  /** The same, when nothing was committed since the last call and something was before. */
  writeBackWhenIdle(): Promise<void>;
  /** Set by who remembers it: told of each new stamp once it is durable. */
  onStamp: (stamp: number) => void;
  /** Writes back and lets go of the database. */
  close(): Promise<void>;
  /** Ends the worker in the middle of whatever it does, as a crash would. */
  crash(): void;
}

/**
 * Opens the database behind `url` and migrates it.
 * @param url `file:PATH` or the address of a libSQL server
 * @throws {StoreError} naming the database and why it cannot be used
 */
export async function openStore(url: string): Promise<Store> {
  // Both workers load side by side; the reader opens what the writer has migrated.
  const writer = new Connection(url);
  const reader = new Connection(url);
  try {
    await writer.open(false);
    await reader.open(true);
  } catch (error) {
    writer.crash();
    reader.crash();
    throw error;
  }
  const gone = Promise.race([writer.gone, reader.gone]);
  const store: Store = {
    created: writer.created,
    id: writer.database_id,
    stamp: writer.stamp,
    read: kyselyOver<Schema>((sql, parameters) => reader.read(sql, parameters), false),
    commit: (unit) => writer.commit(unit),
    gone,
    writeBack: () => writer.writeBack(),
    writeBackWhenIdle: () => writer.writeBackWhenIdle(),
    onStamp: () => {},
    async close() {
      await reader.close();
      // The library writes back by itself only when it is the last one to let go of the file.
      await writer.writeBack().catch(() => false);
      await writer.close();
    },
    crash: () => writer.crash(),
  };
  writer.onStamp = (stamp) => store.onStamp(stamp);
  return store;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/** One store worker and what is waiting for it. */
class Connection {
  created = false;
  database_id = "";
  stamp = 0;
  onStamp: (stamp: number) => void = () => {};
  readonly gone: Promise<string | null>;
  readonly #url: string;
  readonly #worker: Worker;
  readonly #reads = new Map<number, Waiting<Row[]>>();
  readonly #groups = new Map<number, Waiting<UnitAnswer>[]>();
  #queue: { unit: Unit; waiting: Waiting<UnitAnswer> }[] = [];
  #scheduled = false;
  readonly #written = new Map<number, Waiting<boolean>>();
  /** Groups that were posted: in all, at the last look, and when the log was last written back. */
  #posted = { all: 0, seen: 0, back: 0 };
  /** Groups until the next one that carries a stamp. */
  #stamp_in = 0;
  #ids = 0;
  #end!: (reason: string | null) => void;
  #ended: string | null | undefined;

  constructor(url: string) {
    this.#url = url;
    // The types leave out what Deno adds.
    this.#worker = new Worker(import.meta.resolve("./store_worker.ts"), {
      type: "module",
      name: "store",
      deno: { permissions: permissions(url) },
    } as WorkerOptions);
    this.gone = new Promise((resolve) => {
      this.#end = (reason) => {
        if (this.#ended !== undefined) return;
        this.#ended = reason;
        resolve(reason);
        this.#rejectAll(new StoreError(`The store is gone: ${reason ?? "it was closed"}`));
      };
    });
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(event.message);
    };
  }

  /** @throws {StoreError} naming the database and why it cannot be opened */
  async open(readonly: boolean): Promise<void> {
    const opened = Promise.withResolvers<void>();
    const cannot = (reason: string | null) =>
      new StoreError(`Cannot open the database ${display(this.#url)}: ${reason}`);
    this.#worker.onmessage = ({ data }: MessageEvent<StoreReply>) => {
      if (data.type === "opened") {
        this.created = data.created;
        this.database_id = data.database_id;
        this.stamp = data.stamp;
        opened.resolve();
      } else if (data.type === "failed") opened.reject(cannot(data.reason));
      else this.#onReply(data);
    };
    this.gone.then((reason) => opened.reject(cannot(reason)));
    this.#post({ type: "open", url: this.#url, readonly });
    await opened.promise;
  }

  commit(unit: Unit): Promise<UnitResult> {
    if (this.#ended !== undefined) {
      return Promise.reject(new StoreError(`The store is gone: ${this.#ended ?? "it was closed"}`));
    }
    if (this.#queue.length >= STORE_QUEUE_MAX) {
      const reason = `${STORE_QUEUE_MAX} units of work are waiting for the store`;
      return Promise.resolve({ ok: false, refused: false, reason });
    }
    const short = unit.find(({ parameters }) => parameters.some(isCutShort));
    if (short) return Promise.resolve({ ok: false, refused: true, reason: nulReason(short) });
    return new Promise((resolve, reject) => {
      const answered = (answer: UnitAnswer) =>
        resolve(answer.ok ? { ok: true, rows: new Rows(unit, answer.rows) } : answer);
      this.#queue.push({ unit, waiting: { resolve: answered, reject } });
      this.#postLater();
    });
  }

  read(sql: string, parameters: readonly SqlValue[]): Promise<Row[]> {
    if (this.#ended !== undefined) {
      return Promise.reject(new StoreError(`The store is gone: ${this.#ended ?? "it was closed"}`));
    }
    return new Promise((resolve, reject) => {
      const id = ++this.#ids;
      this.#reads.set(id, { resolve, reject });
      this.#post({ type: "read", id, sql, parameters });
    });
  }

  /** Behind whatever was posted before. */
  writeBack(): Promise<boolean> {
    if (this.#ended !== undefined) {
      return Promise.reject(new StoreError(`The store is gone: ${this.#ended ?? "it was closed"}`));
    }
    return new Promise((resolve, reject) => {
      // What comes after it stands in the log alone: whoever loses the log loses this stamp with it.
      this.#stamp_in = 0;
      const id = ++this.#ids;
      this.#written.set(id, { resolve, reject });
      this.#post({ type: "write_back", id });
    });
  }

  async writeBackWhenIdle(): Promise<void> {
    const { all, seen, back } = this.#posted;
    this.#posted.seen = all;
    if (all === back || all !== seen || this.#groups.size > 0) return;
    if (await this.writeBack()) this.#posted.back = all;
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#post({ type: "close" });
    await this.gone;
    this.#worker.terminate();
  }

  crash(): void {
    this.#worker.terminate();
    this.#end("its worker was ended");
  }

  #post(request: StoreRequest): void {
    this.#worker.postMessage(request);
  }

  /** After the I/O of this turn, when everything that arrived in it has queued its unit. */
  #postLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#postGroup();
    });
  }

  /**
   * Two at once: while one is being written the next one waits beside it, so that the store is never
   * idle. Behind them a third grows: the busier the disk, the larger the groups and the fewer fsyncs.
   */
  #postGroup(): void {
    if (this.#groups.size >= STORE_GROUPS_AT_ONCE) return;
    const group = this.#queue.splice(0, STORE_GROUP_MAX);
    if (group.length === 0) return;
    const id = ++this.#ids;
    this.#posted.all++;
    this.#groups.set(id, group.map(({ waiting }) => waiting));
    const units = group.map(({ unit }) => unit);
    if (this.#stamp_in-- === 0) {
      units.push(STAMP);
      this.#stamp_in = STORE_STAMP_GROUPS;
    }
    this.#post({ type: "group", id, units: JSON.stringify(units) });
  }

  #onReply(reply: StoreReply): void {
    switch (reply.type) {
      case "group": {
        const results: UnitAnswer[] = JSON.parse(reply.results);
        const waiting = this.#take(reply.id);
        waiting.forEach(({ resolve }, index) => resolve(results[index]));
        const stamped = results.at(waiting.length);
        if (stamped?.ok) this.onStamp(Number(stamped.rows[0][0].stamp));
        return;
      }
      case "rows":
        this.#reads.get(reply.id)?.resolve(reply.rows);
        this.#reads.delete(reply.id);
        return;
      case "written_back":
        this.#written.get(reply.id)?.resolve(reply.whole);
        this.#written.delete(reply.id);
        return;
      case "error": {
        const error = new StoreError(`The database failed: ${reply.reason}`);
        // The stamp may have been part of it.
        this.#stamp_in = 0;
        for (const { resolve } of this.#take(reply.id)) {
          resolve({ ok: false, refused: false, reason: reply.reason });
        }
        for (const waiting of [this.#reads, this.#written]) {
          waiting.get(reply.id)?.reject(error);
          waiting.delete(reply.id);
        }
        return;
      }
      case "closed":
        this.#end(null);
    }
  }

  #take(id: number): Waiting<UnitAnswer>[] {
    const group = this.#groups.get(id) ?? [];
    this.#groups.delete(id);
    if (this.#queue.length > 0) this.#postLater();
    return group;
  }

  #rejectAll(error: StoreError): void {
    for (const { reject } of this.#reads.values()) reject(error);
    for (const { reject } of this.#written.values()) reject(error);
    this.#written.clear();
    for (const group of this.#groups.values()) for (const { reject } of group) reject(error);
    for (const { waiting } of this.#queue) waiting.reject(error);
    this.#reads.clear();
    this.#groups.clear();
    this.#queue = [];
  }
}

/**
 * The last guard: SQLite would keep a text up to its NUL. Every door has mended or refused it before, so
 * that a unit that has one is a bug's.
 */
function isCutShort(value: SqlValue): boolean {
  return typeof value === "string" && hasNul(value);
}

function nulReason({ sql }: Statement): string {
  return `A text with a NUL character cannot be kept: ${sql.slice(0, 60)}…`;
}

/** Exactly what the store needs: the native library, its files, or the server's host. */
function permissions(url: string): Deno.PermissionOptionsObject {
  // What the library and its loader look up when they start, found by running. The native code does
  // its own file access: ffi is the grant that matters.
  const env = ["LIBSQL_JS_DEV"];
  if (url.startsWith("file:")) {
    return { ffi: true, sys: ["cpus", "hostname", "networkInterfaces"], env };
  }
  // What is not an address gets no grant; the client says what is wrong with it.
  const host = URL.parse(url.replace(/^libsql:/, "https:"))?.host;
  return { net: host ? [host] : [], env };
}

/** A remote address may carry a token; nobody may see it. */
function display(url: string): string {
  return url.replace(/(authToken=)[^&]*/gi, "$1…");
}
