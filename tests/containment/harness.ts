/**
 * Runs a hostile tool or actor for real beside bystanders, and checks what every case must show: the
 * kernel goes on answering, the bystanders finish, and the offender is gone with its CPU and memory.
 */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import type { TestKernel } from "../support/kernel.ts";
import type { Layers } from "../../runtime/confined/sandbox.ts";
import type { Grants } from "../../runtime/confined/tool_cells.ts";
import type { ToolOutcome } from "../../runtime/ports.ts";
import { tempFolder } from "../support/folder.ts";
import { beginActor, startKernel } from "../support/kernel.ts";
import { LONG } from "../support/long.ts";
import { until } from "../support/until.ts";
import type { Slowest } from "./onlooker.ts";

/** The slowest answer of `/health` that a person would not notice, on a machine that has nothing else to do. */
const HEALTH_MS = 250;
/** From the end of a call or the death of its actor until nothing of the offender is left. */
const GONE_MS = 5_000;
/** How long a hostile tool may run: short, so that the suite is. */
export const DEADLINE_MS = 1_000;

/** How long one may run that answers at once: a busy machine takes seconds to start it. */
export const PATIENT_MS = 60_000;

/** Steps of a bystander: it is at work while the offender is. */
const STEPS = LONG ? 200 : 50;

export const NOTHING: Grants = { net: [], read: [], write: [] };

export interface Arena extends AsyncDisposable {
  readonly kernel: TestKernel;
  readonly folder: string;
  /** Runs a tool's source to its end under the checks that each case must pass. */
  attack(source: string, options?: Attack): Promise<ToolOutcome>;
  /** Runs a hostile actor of one of the arena's kinds until its task has ended, under the same. */
  attackAs(kind: string, message?: Record<string, unknown>): Promise<Ended>;
}

/** How an actor's task ended. */
export interface Ended {
  readonly status: string;
  readonly result: string | null;
  readonly reason: string | null;
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

/** A kernel with its HTTP on a free port. `layers` stands for a machine that has no more than these. */
export async function arena(
  kinds: Record<string, string> = {},
  layers?: Layers,
  patience_ms = DEADLINE_MS,
): Promise<Arena> {
  const folder = await tempFolder();
  const kernel = await startKernel(folder.path, {
    workflow: import.meta.resolve("../bench/workflow.ts"),
    ...kinds,
    // Half the patience of production: a silent actor is waited for once in company and three times alone.
  }, { slots: 60, heartbeat_ms: 1_000, ...layers && { layers } });
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, app.fetch);
  const url = `http://127.0.0.1:${server.addr.port}`;

  const watched = async <T>(run: () => Promise<T>, reading_ms = 0): Promise<T> => {
    const health = watchHealth(url);
    const bystander = await beginActor(kernel, "workflow", { type: "step", left: STEPS });
    const before = await processesOf(folder.path);
    const result = await run().catch(async (error) => {
      await health();
      throw error;
    });
    const slowest = await health();
    assert.ok(slowest < HEALTH_MS + reading_ms, `/health took ${slowest} ms`);
    const done = await ended(kernel, bystander.address);
    assert.deepEqual(done, { status: "done", result: String(STEPS), reason: null });
    await until(
      "the end of every process that the offender had",
      async () => (await processesOf(folder.path)).length <= before.length + SPARES,
      GONE_MS,
    );
    // The call took the warm tool cell that was counted before; what is left may be the next, no more.
    await until(
      "the end of every tool cell but a warm one",
      async () => (await toolProcesses(folder.path)).length <= SPARES,
      GONE_MS,
    );
    return result;
  };

  return {
    kernel,
    folder: folder.path,
    attack: (source, { deadline_ms = patience_ms, signal, reading_ms, ...options } = {}) =>
      watched(() =>
        kernel.tools.call(
          { source, input: {}, grants: NOTHING, workspace: null, ...options, deadline_ms },
          signal ?? new AbortController().signal,
        ), reading_ms),
    attackAs: (kind, message) =>
      watched(async () => {
        const { address } = await beginActor(kernel, kind, { ...message, type: "go" });
        return await ended(kernel, address);
      }),
    [Symbol.asyncDispose]: async () => {
      await server.shutdown();
      await kernel.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A warm tool cell may come up meanwhile: bwrap, its reaper, and Deno. */
const SPARES = 3;

/** Has an onlooker ask `/health` again and again; the function that it returns stops it and gives the slowest. */
function watchHealth(url: string): () => Promise<number> {
  const onlooker = new Worker(import.meta.resolve("./onlooker.ts"), { type: "module" });
  const told = new Promise<Slowest>((resolve) => {
    onlooker.onmessage = ({ data }: MessageEvent<Slowest>) => resolve(data);
  });
  onlooker.postMessage(`${url}/health`);
  return async () => {
    onlooker.postMessage(null);
    const slowest = await told;
    onlooker.terminate();
    if ("wrong" in slowest) throw new Error(slowest.wrong);
    return slowest.took_ms;
  };
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
  return (await processes()).filter(({ args }) => args.includes(`${folder}/tool-`));
}

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
