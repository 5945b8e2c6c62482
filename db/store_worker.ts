/**
 * The Web Worker that owns a connection: opens, migrates, then answers groups of units and reads.
 * No fsync and no slow query ever runs on the kernel's own thread.
 */
import { type Engine, openLocal, openRemote } from "./engine.ts";
import { type Identity, upToDate } from "./migrations/newest.ts";
import type { Row, SqlValue, Unit } from "./unit.ts";
import { reasonOf } from "../runtime/core/reason.ts";

export type StoreRequest =
  | { type: "open"; url: string; readonly: boolean }
  | { type: "group"; id: number; /** Units as JSON: cheaper to copy than objects. */ units: string }
  | { type: "read"; id: number; sql: string; parameters: readonly SqlValue[] }
  | { type: "write_back"; id: number }
  | { type: "close" };

export type StoreReply =
  | { type: "opened" } & Identity
  | { type: "failed"; reason: string }
  | { type: "group"; id: number; /** Results as JSON. */ results: string }
  | { type: "rows"; id: number; rows: Row[] }
  | { type: "written_back"; id: number; whole: boolean }
  | { type: "error"; id: number; reason: string }
  | { type: "closed" };

declare const self: DedicatedWorkerGlobalScope;
interface DedicatedWorkerGlobalScope {
  onmessage: (event: MessageEvent<StoreRequest>) => void;
  postMessage(reply: StoreReply): void;
  close(): void;
}

let engine: Engine;
/** Requests are answered one after the other, also when the engine is asynchronous. */
let before: Promise<void> = Promise.resolve();

self.onmessage = ({ data }) => {
  before = before.then(() => answer(data));
};

async function answer(request: StoreRequest): Promise<void> {
  switch (request.type) {
    case "open":
      try {
        self.postMessage({ type: "opened", ...await open(request) });
      } catch (error) {
        self.postMessage({ type: "failed", reason: reasonOf(error) });
      }
      return;
    case "group":
      try {
        const units: Unit[] = JSON.parse(request.units);
        const results = await engine.group(units);
        self.postMessage({ type: "group", id: request.id, results: JSON.stringify(results) });
      } catch (error) {
        self.postMessage({ type: "error", id: request.id, reason: reasonOf(error) });
      }
      return;
    case "read":
      try {
        const rows = await engine.run(request.sql, request.parameters);
        self.postMessage({ type: "rows", id: request.id, rows });
      } catch (error) {
        self.postMessage({ type: "error", id: request.id, reason: reasonOf(error) });
      }
      return;
    case "write_back":
      try {
        self.postMessage({ type: "written_back", id: request.id, whole: engine.writeBack() });
      } catch (error) {
        self.postMessage({ type: "error", id: request.id, reason: reasonOf(error) });
      }
      return;
    case "close":
      engine?.close();
      self.postMessage({ type: "closed" });
      self.close();
  }
}

/** Opens the database and, on the writing side, migrates it and says whether it was new. */
async function open(
  { url, readonly }: { url: string; readonly: boolean },
): Promise<Identity> {
  engine = url.startsWith("file:")
    ? await openLocal(url.slice("file:".length), readonly)
    : await openRemote(url);
  if (readonly) return { created: false, database_id: "", stamp: 0 };
  const known = await upToDate(engine);
  if (known) return known;
  // Loaded only when there is something to migrate: it is hundreds of modules.
  const { migrate } = await import("./migrations/migrate.ts");
  return await migrate(engine);
}
