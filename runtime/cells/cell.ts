/**
 * A cell: the subprocess that hosts agent Web Workers. It keeps warm spares, passes messages between
 * the kernel's socket and the workers, and reports which workers answer. It decides nothing.
 *
 * Run by the kernel with the socket's path as its argument; ends when the socket closes.
 */
import {
  BEAT_EVERY_MS,
  FAILURE_CHARS_MAX,
  REFILL_QUIET_MS,
  REFILL_WAIT_MAX_MS,
  WARM_UP_PINGS,
} from "../core/limits.ts";
import type { FromCell } from "./frames.ts";
import { Inbox } from "./inbox.ts";
import { CELL, FrameWriter, NONCE, readFrames, type ToCell } from "../confined/wire.ts";
import { reasonOf } from "../core/reason.ts";

interface Hosted {
  readonly worker: Worker;
  readonly inbox: Inbox;
  /** The kernel's number; null while it is a warm spare. */
  id: number | null;
  /** It has been handed a message and has not answered. */
  busy: boolean;
  /** Pings that it has been sent while it was a spare. */
  pings: number;
}

const HOST = import.meta.resolve("./worker.ts");
const hosted = new Map<number, Hosted>();
const spares = new Map<string, Hosted[]>();
let kinds: Record<string, string> = {};
let spare: Record<string, number> = {};

let heard_at = 0;
let refilling = false;

const connection = await Deno.connect({ transport: "unix", path: Deno.args[0] });
const out = new FrameWriter(connection, () => Deno.exit(0));
// Before anything else: a kernel listens to nobody whom it has not started itself.
out.write(CELL, Deno.env.get(NONCE)!);

setInterval(beat, BEAT_EVERY_MS);
beat();
try {
  await readFrames(connection, (worker, body) => {
    heard_at = performance.now();
    if (worker === CELL) onFrame(JSON.parse(new TextDecoder().decode(body)));
    else deliver(worker, body);
  });
} catch {
  // The kernel is gone or speaks another language: either way there is nothing left to do here.
}
Deno.exit(0);

function onFrame(frame: ToCell): void {
  switch (frame.t) {
    case "hello":
      kinds = frame.kinds;
      spare = frame.spare;
      refill();
      return;
    case "start": {
      const taken = spares.get(frame.kind)?.shift() ?? create(frame.kind);
      taken.id = frame.worker;
      hosted.set(frame.worker, taken);
      refillLater();
      return;
    }
    case "stop": {
      const stopped = hosted.get(frame.worker);
      if (stopped) end(stopped);
    }
  }
}

function deliver(worker: number, body: Uint8Array): void {
  const to = hosted.get(worker);
  if (!to) return;
  to.busy = true;
  to.inbox.put(body);
}

/** Creating a worker blocks this thread and takes a core: it waits for a quiet moment. */
function refillLater(): void {
  if (refilling) return;
  refilling = true;
  const asked = performance.now();
  const look = () => {
    const now = performance.now();
    if (now - heard_at < REFILL_QUIET_MS && now - asked < REFILL_WAIT_MAX_MS) {
      setTimeout(look, REFILL_QUIET_MS);
      return;
    }
    refilling = false;
    refill();
  };
  setTimeout(look, REFILL_QUIET_MS);
}

/** One spare at a time, so that frames are read in between. */
function refill(): void {
  for (const [kind, wanted] of Object.entries(spare)) {
    const ready = spares.get(kind) ?? [];
    spares.set(kind, ready);
    if (ready.length >= wanted) continue;
    ready.push(create(kind));
    setTimeout(refill, 0);
    return;
  }
}

function create(kind: string): Hosted {
  // An entry of ours that loads the actor: its imports are resolved with this cell's permissions,
  // then the worker has none.
  const entry = `import { host } from "${HOST}"; import actor from "${kinds[kind]}"; host(actor);`;
  // The types leave out what Deno adds.
  const worker = new Worker(`data:application/javascript,${encodeURIComponent(entry)}`, {
    type: "module",
    name: kind,
    deno: { permissions: "none" },
  } as WorkerOptions);
  const created: Hosted = { worker, inbox: new Inbox(), id: null, busy: false, pings: 0 };
  worker.onmessage = ({ data }) => {
    if (data === null) warmUp(created);
    else if (typeof data !== "string") fail(created, "It posted something else than text");
    else if (created.id !== null) pass(created, created.id, data);
  };
  worker.onerror = (event) => {
    // Otherwise the error would end the whole cell.
    event.preventDefault();
    fail(created, event.message);
  };
  worker.onmessageerror = () => fail(created, "A message could not be copied");
  worker.postMessage(created.inbox.memory);
  warmUp(created);
  return created;
}

/** The first messages of a worker cost many times as much as later ones: a spare has them behind it. */
function warmUp(spare: Hosted): void {
  if (spare.id !== null || spare.pings === WARM_UP_PINGS) return;
  spare.pings++;
  spare.inbox.ping();
}

function pass(from: Hosted, id: number, body: string): void {
  from.busy = false;
  try {
    out.write(id, body);
  } catch (error) {
    fail(from, reasonOf(error));
  }
}

function fail(failed: Hosted, reason: string): void {
  for (const ready of spares.values()) {
    const index = ready.indexOf(failed);
    if (index >= 0) ready.splice(index, 1);
  }
  end(failed);
  if (failed.id === null) return;
  tell({ t: "failed", worker: failed.id, reason: reason.slice(0, FAILURE_CHARS_MAX) });
}

function end(ended: Hosted): void {
  ended.inbox.stop();
  ended.worker.terminate();
  if (ended.id !== null) hosted.delete(ended.id);
}

/** Reports the workers that have answered all they were handed. */
function beat(): void {
  const idle = [...hosted.values()].filter(({ busy }) => !busy);
  tell({ t: "beat", workers: idle.map(({ id }) => id!) });
}

function tell(frame: FromCell): void {
  out.write(CELL, JSON.stringify(frame));
}
