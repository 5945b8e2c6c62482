/**
 * A cell: the subprocess that hosts agent Web Workers. It keeps warm spares, passes messages between
 * the kernel's socket and the workers, and reports which workers answer. It decides nothing.
 *
 * Run by the kernel with the socket's path as its argument; ends when the socket closes.
 */
import { BEAT_EVERY_MS, REFILL_QUIET_MS, REFILL_WAIT_MAX_MS } from "./core/limits.ts";
import { FrameWriter, readFrames, type ToCell } from "./wire.ts";
import type { ToWorker } from "./worker.ts";

interface Hosted {
  readonly worker: Worker;
  /** The kernel's number; null while it is a warm spare. */
  id: number | null;
  answered: boolean;
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

setInterval(beat, BEAT_EVERY_MS);
beat();
try {
  for await (const frame of readFrames(connection.readable)) onFrame(frame as ToCell);
} catch {
  // The kernel is gone or speaks another language: either way there is nothing left to do here.
}
Deno.exit(0);

function onFrame(frame: ToCell): void {
  heard_at = performance.now();
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
      post(taken, { type: "start", state: frame.state });
      refillLater();
      return;
    }
    case "deliver": {
      const target = hosted.get(frame.worker);
      if (target) {
        post(target, { type: "deliver", envelope: frame.envelope, message: frame.message });
      }
      return;
    }
    case "stop":
      hosted.get(frame.worker)?.worker.terminate();
      hosted.delete(frame.worker);
  }
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
  const worker = new Worker(`data:application/javascript,${encodeURIComponent(entry)}`, {
    type: "module",
    name: kind,
    deno: { permissions: "none" },
  } as WorkerOptions);
  const created: Hosted = { worker, id: null, answered: true };
  worker.onmessage = ({ data }) => {
    created.answered = true;
    if (created.id === null || data?.type !== "next") return;
    const { envelope, state, effects, ending } = data;
    try {
      out.write({ t: "next", worker: created.id, envelope, state, effects, ending });
    } catch (error) {
      fail(created, (error as Error).message);
    }
  };
  worker.onerror = (event) => {
    // Otherwise the error would end the whole cell.
    event.preventDefault();
    fail(created, event.message);
  };
  worker.onmessageerror = () => fail(created, "A message could not be copied");
  return created;
}

function fail(failed: Hosted, reason: string): void {
  failed.worker.terminate();
  for (const ready of spares.values()) {
    const index = ready.indexOf(failed);
    if (index >= 0) ready.splice(index, 1);
  }
  if (failed.id === null) return;
  hosted.delete(failed.id);
  out.write({ t: "failed", worker: failed.id, reason: reason.slice(0, 2_000) });
}

/** Reports who answered the last ping, and asks again. */
function beat(): void {
  const answered = [...hosted.values()].filter((one) => one.answered);
  out.write({ t: "beat", workers: answered.map(({ id }) => id) });
  for (const one of answered) {
    one.answered = false;
    post(one, { type: "ping" });
  }
}

function post(to: Hosted, message: ToWorker): void {
  to.worker.postMessage(message);
}
