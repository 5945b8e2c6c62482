/**
 * Runs a hostile tool or actor for real beside bystanders, and checks what every case must show: the
 * kernel goes on answering, the bystanders finish, and the offender is gone with its CPU and memory.
 */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import type { TestKernel } from "../support/kernel.ts";
import type { Layers } from "../../runtime/confined/sandbox.ts";
import { type Grants, ToolCells } from "../../runtime/confined/tool_cells.ts";
import { systemClock, type ToolOutcome } from "../../runtime/ports.ts";
import { tempFolder } from "../support/folder.ts";
import { beginActor, startKernel } from "../support/kernel.ts";
import { LONG } from "../support/long.ts";
import { until } from "../support/until.ts";
import { workspacesIn } from "../support/workspaces.ts";
import type { Asked, Slowest } from "./onlooker.ts";

/** The slowest answer of `/health` that a person would not notice, on a machine that has nothing else to do. */
const HEALTH_MS = 250;
/** From the end of a call or the death of its actor until nothing of the offender is left. */
const GONE_MS = 5_000;
/** How long a hostile tool may run: short, so that the suite is. */
export const DEADLINE_MS = 1_000;

/** How long one may run that answers at once: a busy machine takes seconds to start it. */
export const PATIENT_MS = 60_000;

/** Steps of a bystander: it is at work while the offender is. */
const STEPS = LONG ? 200 : 20;

/** Slots of an arena, and the cells that they need. */
const SLOTS = 60;
const CELLS = 4;

export const NOTHING: Grants = { net: [], read: [], write: [] };

export interface Arena extends AsyncDisposable {
  readonly kernel: TestKernel;
  readonly tools: ToolCells;
  /** Of its tools. */
  readonly folder: string;
  /** Runs a tool's source to its end under the checks that each case must pass. */
  attack(source: string, options?: Attack): Promise<ToolOutcome>;
  /** The same with several at once. */
  attacks(sources: readonly string[], options?: Attack): Promise<ToolOutcome[]>;
  /** Runs a hostile actor of one of the arena's kinds until its task has ended, under the same. */
  attackAs(kind: string, message?: Record<string, unknown>): Promise<Ended>;
  /** The same kernel with tools as a machine runs them that has no more than these; ends with the arena. */
  on(layers: Layers): Promise<Arena>;
}

/** How an actor's task ended. */
export interface Ended {
  readonly status: string;
  readonly result: string | null;
  readonly reason: string | null;
}

/** An actor's task failed at each of its attempts, for this reason. */
export function assertFailed(ended: Ended, reason: RegExp): void {
  assert.equal(ended.status, "failed");
  assert.equal(ended.result, null);
  assert.match(ended.reason!, /^Failed 3 times at go: /);
  assert.match(ended.reason!, reason);
  assert.ok(ended.reason!.length < 3_000, "the reason is kept short");
}

export interface Attack {
  readonly input?: unknown;
  readonly grants?: Grants;
  readonly workspace?: string | null;
  readonly deadline_ms?: number;
  readonly signal?: AbortSignal;
  /** What reading the answer alone takes on this machine just now: `/health` may be late by so much more. */
  readonly reading_ms?: number;
}

/** A kernel with its cells, and its HTTP on a free port. */
export async function arena(
  kinds: Record<string, string> = {},
  patience_ms = DEADLINE_MS,
): Promise<Arena> {
  const ending = new AsyncDisposableStack();
  const folder = ending.use(await tempFolder());
  const kernel = await startKernel(folder.path, {
    workflow: import.meta.resolve("../bench/workflow.ts"),
    ...kinds,
    // Half the patience of production: a silent actor is waited for once in company and three times alone.
  }, { slots: SLOTS, heartbeat_ms: 1_000 });
  ending.defer(() => kernel.stop());
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, app.fetch);
  ending.defer(() => server.shutdown());
  const onlooker = new Onlooker(`http://127.0.0.1:${server.addr.port}/health`);
  ending.defer(() => onlooker.leave());
  // What the kernel itself begins is over before any attack: it is not what /health waits for.
  await until("the cells of its slots", () => kernel.cells.size.cells === CELLS);

  const around = (folder: string, tools: ToolCells): Omit<Arena, "on" | keyof AsyncDisposable> => {
    const watched = <T>(run: () => Promise<T>, reading_ms?: number) =>
      watching({ kernel, onlooker, folder }, run, reading_ms);
    const call = (source: string, { deadline_ms = patience_ms, signal, ...options }: Attack) =>
      tools.call(
        { source, input: {}, grants: NOTHING, workspace: null, ...options, deadline_ms },
        signal ?? new AbortController().signal,
      );
    return {
      kernel,
      tools,
      folder,
      attack: (source, { reading_ms, ...options } = {}) =>
        watched(() => call(source, options), reading_ms),
      attacks: (sources, { reading_ms, ...options } = {}) =>
        watched(() => Promise.all(sources.map((one) => call(one, options))), reading_ms),
      attackAs: (kind, message) =>
        watched(async () => {
          const { address } = await beginActor(kernel, kind, { ...message, type: "go" });
          return await ended(kernel, address);
        }),
    };
  };

  const on = async (layers: Layers): Promise<Arena> => {
    const { path } = ending.use(await tempFolder());
    const { workspaces, removal } = await workspacesIn(path, { layers });
    const scratch = `${path}/scratch`;
    await Deno.mkdir(scratch);
    const config = { ...kernel.tools.config, scratch, sockets: path, layers };
    const tools = new ToolCells(config, workspaces, removal, systemClock, () => {});
    const opened = await tools.open();
    ending.defer(() => opened.stop());
    return { ...around(path, tools), on, [Symbol.asyncDispose]: () => ending.disposeAsync() };
  };

  return {
    ...around(folder.path, kernel.tools),
    on,
    [Symbol.asyncDispose]: () => ending.disposeAsync(),
  };
}

interface Watched {
  readonly kernel: TestKernel;
  readonly onlooker: Onlooker;
  readonly folder: string;
}

/** Runs an attack beside a bystander, and checks what every case must show. */
async function watching<T>(
  { kernel, onlooker, folder }: Watched,
  run: () => Promise<T>,
  reading_ms = 0,
): Promise<T> {
  const health = onlooker.look();
  const bystander = await beginActor(kernel, "workflow", { type: "step", left: STEPS });
  const before = await processesOf(folder);
  const result = await run().catch(async (error) => {
    await health();
    throw error;
  });
  const slowest = await health();
  assert.ok(slowest < HEALTH_MS + reading_ms, `/health took ${slowest} ms`);
  const done = await ended(kernel, bystander.address);
  assert.deepEqual(done, { status: "done", result: String(STEPS), reason: null });
  await until(
    "the end of every process that the offender had, and of every tool cell but a warm one",
    async () => {
      const left = await processesOf(folder);
      // The call took the warm tool cell that was counted before; what is left may be the next, no more.
      return left.length <= before.length + SPARES &&
        left.filter(({ args }) => args.includes(toolsOf(folder))).length <= SPARES;
    },
    GONE_MS,
  );
  return result;
}

/** A warm tool cell may come up meanwhile: bwrap, its reaper, and Deno. */
const SPARES = 3;

/** One person at `/health` for all attacks on an arena. */
class Onlooker {
  readonly #worker = new Worker(import.meta.resolve("./onlooker.ts"), { type: "module" });
  readonly #looks = new Map<number, (slowest: Slowest) => void>();
  #count = 0;

  constructor(readonly url: string) {
    this.#worker.onmessage = ({ data: { look, slowest } }: MessageEvent<Asked>) => {
      this.#looks.get(look)!(slowest);
      this.#looks.delete(look);
    };
  }

  /** Has it ask again and again; the function that it returns stops it and gives the slowest answer, in ms. */
  look(): () => Promise<number> {
    const { url } = this;
    const look = ++this.#count;
    const told = new Promise<Slowest>((resolve) => this.#looks.set(look, resolve));
    this.#worker.postMessage({ look, url });
    return async () => {
      this.#worker.postMessage({ look, url: null });
      const slowest = await told;
      if ("wrong" in slowest) throw new Error(slowest.wrong);
      return slowest.took_ms;
    };
  }

  leave(): void {
    this.#worker.terminate();
  }
}

async function ended(kernel: TestKernel, id: string): Promise<Ended> {
  return await until(`the end of ${id}`, async () => {
    const row = await kernel.read.selectFrom("tasks").select(["status", "result", "reason"])
      .where("id", "=", id).executeTakeFirstOrThrow();
    return row.status === "done" || row.status === "failed" ? { ...row } : null;
  }, 60_000);
}

/** A process of a tool cell: its id, its resident memory in KiB, and its command line. */
export interface ToolProcess {
  readonly pid: number;
  readonly rss_kib: number;
  readonly args: string;
}

/** Every process of the tool cells of the arena with this folder, whoever its parent is by now. */
export async function toolProcesses(folder: string): Promise<ToolProcess[]> {
  return (await processes()).filter(({ args }) => args.includes(toolsOf(folder)));
}

/** What every tool cell of a folder has in its arguments. */
const toolsOf = (folder: string) => `${folder}/tool-`;

/** Every process of this folder's cells, and all that is below them. */
async function processesOf(folder: string): Promise<Running[]> {
  const all = await processes();
  const found = all.filter(({ args }) => args.includes(`${folder}/`));
  // Grows while it is gone through.
  for (const { pid } of found) {
    found.push(...all.filter((one) => one.parent === pid && !found.includes(one)));
  }
  return found;
}

interface Running extends ToolProcess {
  readonly parent: number;
}

async function processes(): Promise<Running[]> {
  const columns = "pid=,ppid=,rss=,args=";
  const { stdout } = await new Deno.Command("ps", { args: ["-e", "-ww", "-o", columns] }).output();
  return new TextDecoder().decode(stdout).split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((found) => found !== null)
    .map(([, pid, parent, rss_kib, args]) => ({
      pid: Number(pid),
      parent: Number(parent),
      rss_kib: Number(rss_kib),
      args,
    }));
}
