/**
 * Runs tools that agents wrote. Each call gets a process of its own, which is thrown away after it:
 * no call ever meets what another one left behind. One process without any permission is kept warm.
 */
import { CellProcess } from "./process.ts";
import {
  CHECK_DEADLINE_MS,
  CHECK_LIMITS,
  RESULT_BYTES_MAX,
  TOOL_CELLS_MAX,
  TOOL_DEADLINE_MS,
  TOOL_ERROR_CHARS_MAX,
  TOOL_LIMITS,
  TOOL_LOG_MS,
  TOOL_QUEUE_MAX,
} from "../core/limits.ts";
import type { Child, Clock, Log, ToolOutcome, ToolRunner } from "../ports.ts";
import { type Confined, type Layers, plain, runConfined, SEALED, SEALED_ENV } from "./sandbox.ts";
import type { ToolJob, ToolReport } from "./tool_cell.ts";
import { toolReport } from "./tool_report.ts";
import { withinQuota } from "./quota.ts";
import type { Removal } from "./removal.ts";
import { CELL, NONCE } from "./wire.ts";
import type { Workspaces } from "./workspaces.ts";
import type { WrittenTool } from "../core/toolkit/tool.ts";
import { reasonOf } from "../core/reason.ts";

/** What a tool may do, with absolute paths. */
export interface Grants {
  /** Hosts, with or without a port. */
  readonly net: readonly string[];
  readonly read: readonly string[];
  readonly write: readonly string[];
}

export interface CellCall {
  readonly source: string;
  readonly input: unknown;
  readonly grants: Grants;
  /** The folder that the paths are in; null when none is granted. */
  readonly workspace: string | null;
  readonly deadline_ms?: number;
}

export interface ToolCellsConfig {
  /** An existing folder, of ours alone, for the sockets. */
  readonly sockets: string;
  /** A folder, of ours alone, for throw-away folders. */
  readonly scratch: string;
  readonly code: string;
  readonly layers: Layers;
}

const NOTHING: Grants = { net: [], read: [], write: [] };

export class ToolCells implements ToolRunner {
  readonly #busy = new Set<CellProcess>();
  readonly #disposing = new Set<Promise<void>>();
  readonly #places = new Set<number>();
  readonly #waiting: (() => void)[] = [];
  #spare: Promise<OpenCell> | null = null;
  #count = 0;
  #stopped = true;

  constructor(
    readonly config: ToolCellsConfig,
    readonly workspaces: Workspaces,
    readonly removal: Removal,
    readonly clock: Clock,
    readonly log: Log,
  ) {}

  /** The starter of the supervision tree's `tools` child. */
  readonly open = async (): Promise<Child> => {
    const gone = Promise.withResolvers<string | null>();
    // What a kernel that was killed left behind.
    await this.removal.remove(this.config.scratch);
    await Deno.mkdir(this.config.scratch);
    this.removal.empty();
    this.#stopped = false;
    this.#refill();
    return {
      gone: gone.promise,
      stop: async () => {
        await this.#stop();
        gone.resolve(null);
      },
    };
  };

  /** Calls at work and waiting. */
  get load(): { running: number; waiting: number } {
    return { running: this.#busy.size, waiting: this.#waiting.length };
  }

  get contained(): boolean {
    return this.config.layers.bwrap;
  }

  async run(
    tool: WrittenTool,
    input: unknown,
    tree_id: string,
    signal: AbortSignal,
  ): Promise<ToolOutcome> {
    const workspace = await this.workspaces.folderOf(tree_id);
    return await this.#runIn(workspace, tool, input, signal);
  }

  async try(
    tool: WrittenTool,
    input: unknown,
    files: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<ToolOutcome> {
    return await this.inScratch(async (workspace) => {
      try {
        await this.workspaces.fill(workspace, files, signal);
        return await this.#runIn(workspace, tool, input, signal);
      } finally {
        await this.workspaces.leave(workspace);
      }
    });
  }

  /** With exactly the tool's permissions, inside of this workspace. */
  async #runIn(
    workspace: string,
    { source, permissions: { net = [], read = [], write = [] } }: WrittenTool,
    input: unknown,
    signal: AbortSignal,
  ): Promise<ToolOutcome> {
    const grants = {
      net,
      read: await this.workspaces.resolve(workspace, read, false, signal),
      write: await this.workspaces.resolve(workspace, write, true, signal),
    };
    const bound = read.length + write.length > 0 ? workspace : null;
    const call = { source, input, grants, workspace: bound };
    if (write.length === 0) return await this.call(call, signal);
    const { result, full } = await withinQuota(
      this.clock,
      this.config.layers,
      workspace,
      signal,
      (signal) => this.call(call, signal),
    );
    if (full === null) return result;
    return { ok: false, error: `The tool was ended: ${full}`, log: result.log };
  }

  /**
   * Runs one call to its end.
   * @throws {Error} when no cell can be started; asking again is harmless
   */
  async call(call: CellCall, signal: AbortSignal): Promise<ToolOutcome> {
    await this.#turn();
    const opened = await this.#take(call).catch((error) => {
      this.#next();
      throw error;
    });
    try {
      return await this.#perform(opened, call, signal);
    } finally {
      // Its answer is there: nobody waits for the end of its process.
      const disposing = this.#dispose(opened).finally(() => {
        this.#disposing.delete(disposing);
        this.#next();
      });
      this.#disposing.add(disposing);
    }
  }

  /**
   * Looks at a tool's imports and types without running it.
   * @returns what is wrong with it, or null
   */
  async check(source: string, signal: AbortSignal): Promise<string | null> {
    return await this.inScratch(async (folder) => {
      await Deno.writeTextFile(`${folder}/tool.ts`, source);
      const kit = `${this.config.code}runtime/confined/tool_kit/deno.json`;
      const info = await this.#deno(["info", "--json", `--config=${kit}`], folder, signal);
      const strange = strangeImports(info.output);
      if (strange) return strange;
      const checked = await this.#deno(["check", `--config=${kit}`], folder, signal);
      if (checked.stopped) return `The check was ended: ${checked.stopped}`;
      if (checked.code === 0) return null;
      return checked.output.replaceAll(`file://${folder}/`, "").trim();
    });
  }

  /** Runs something with an empty folder that is gone afterwards. */
  async inScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
    const folder = await this.#folder();
    try {
      return await use(folder);
    } finally {
      await this.removal.remove(folder);
    }
  }

  async #stop(): Promise<void> {
    this.#stopped = true;
    const spare = await this.#spare?.catch(() => null);
    if (spare) await this.#dispose(spare);
    await Promise.all([...this.#busy].map((cell) => cell.stop()));
    await Promise.all(this.#disposing);
    await this.removal.settled();
    this.#spare = null;
  }

  /** A folder that is empty and that nobody else uses. */
  async #folder(): Promise<string> {
    return await Deno.realPath(await Deno.makeTempDir({ dir: this.config.scratch }));
  }

  /** First come, first served. */
  async #turn(): Promise<void> {
    if (this.#places.size < TOOL_CELLS_MAX) return;
    if (this.#waiting.length >= TOOL_QUEUE_MAX) {
      throw new Error(`${TOOL_QUEUE_MAX} calls are waiting for a tool cell`);
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async #take({ grants, workspace }: CellCall): Promise<OpenCell> {
    const bare = grants.net.length + grants.read.length + grants.write.length === 0;
    if (bare && this.#spare) {
      const spare = this.#spare;
      this.#spare = null;
      const opened = await spare.catch(() => null);
      if (opened && !opened.cell.doomed) return opened;
      if (opened) await this.#dispose(opened);
    }
    return await this.#open(grants, workspace);
  }

  /** A place is free: for whoever waits, and for a warm cell. */
  #next(): void {
    this.#waiting.shift()?.();
    this.#refill();
  }

  #refill(): void {
    // The last place is left to a call that needs a cell with permissions.
    if (this.#spare || this.#stopped || this.#places.size >= TOOL_CELLS_MAX - 1) return;
    const spare = this.#open(NOTHING, null);
    this.#spare = spare;
    spare.catch((error: Error) => {
      this.log(`Cannot keep a tool cell warm: ${error.message}`);
      if (this.#spare === spare) this.#spare = null;
    });
  }

  async #open(grants: Grants, workspace: string | null): Promise<OpenCell> {
    const place = Array.from({ length: TOOL_CELLS_MAX }, (_, place) => place)
      .find((place) => !this.#places.has(place));
    if (place === undefined) throw new Error(`All ${TOOL_CELLS_MAX} tool cells are at work`);
    this.#places.add(place);
    const cell = new CellProcess(`tool-cell-${++this.#count}`, this.clock);
    let log = "";
    cell.onOutput = (text) => log += text;
    let folder: string | null = null;
    try {
      folder = await this.#folder();
      const socket = toolSocketPath(this.config.sockets, place);
      const program = this.#program(socket, folder, grants, workspace);
      await cell.open(program, this.config.layers, socket);
      return { cell, folder, place, log: () => log };
    } catch (error) {
      this.#places.delete(place);
      if (folder) await this.removal.remove(folder);
      throw error;
    }
  }

  async #perform(opened: OpenCell, call: CellCall, signal: AbortSignal): Promise<ToolOutcome> {
    const { cell, log } = opened;
    this.#busy.add(cell);
    const mark = crypto.randomUUID();
    const printed = cell.printedUntil(mark);
    const reported = Promise.withResolvers<Reported>();
    const fail = (error: string) =>
      reported.resolve({ ok: false, error, whole: Promise.resolve() });
    cell.onFrame = (_, body) => {
      // One report; whatever comes after it is read by nobody.
      cell.onFrame = () => {};
      // What it printed was printed before, and is read on other ways: that may be later.
      reported.resolve({ ...reportIn(body), whole: printed });
    };
    cell.gone.then((reason) => fail(`The tool's process ended before it answered: ${reason}`));
    const { deadline_ms = TOOL_DEADLINE_MS } = call;
    const callOff = this.clock.after(deadline_ms, () => {
      fail(`The tool did not answer within ${deadline_ms / 1000} s`);
    });
    const calledOff = () => fail("The call was called off");
    signal.addEventListener("abort", calledOff, { once: true });
    if (signal.aborted) calledOff();
    const { source, input, workspace } = call;
    const job: ToolJob = { source, input, context: { workspace }, mark };
    try {
      cell.send(CELL, JSON.stringify(job));
    } catch (error) {
      fail(reasonOf(error));
    }
    const { whole, ...outcome } = await reported.promise;
    callOff();
    signal.removeEventListener("abort", calledOff);
    await this.#shortly(Promise.race([whole, cell.gone]));
    return { ...outcome, log: log() };
  }

  /** A tool that hides its mark is waited for no longer. */
  async #shortly(whole: Promise<unknown>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const callOff = this.clock.after(TOOL_LOG_MS, late.resolve);
    await Promise.race([whole, late.promise]);
    callOff();
  }

  async #dispose({ cell, folder, place }: OpenCell): Promise<void> {
    cell.kill("its call is over");
    await cell.gone;
    this.#busy.delete(cell);
    this.#places.delete(place);
    await this.removal.remove(folder);
  }

  #program(
    socket: string,
    folder: string,
    { net, read, write }: Grants,
    workspace: string | null,
  ): Confined {
    const { code } = this.config;
    const kit = `${code}runtime/confined/tool_kit/mod.ts`;
    return {
      program: Deno.execPath(),
      args: [
        "run",
        ...SEALED,
        `--config=${code}runtime/confined/tool_kit/deno.json`,
        // What a tool keeps in memory ends with it; its share of the CPU is not for background work.
        "--v8-flags=--single-threaded-gc",
        `--allow-read=${[kit, socket, ...read, ...write].join(",")}`,
        `--allow-write=${[socket, ...write].join(",")}`,
        `--allow-net=${[`unix:${socket}`, ...net].join(",")}`,
        `--allow-env=${NONCE}`,
        `${code}runtime/confined/tool_cell.ts`,
        socket,
      ],
      env: { ...SEALED_ENV, HOME: folder },
      // The workspace as a whole: a path in it may be a link by now, which leads nowhere in here.
      read: [`${code}runtime`, ...workspace && write.length === 0 ? [workspace] : []],
      write: [socket, folder, ...workspace && write.length > 0 ? [workspace] : []],
      network: net.length > 0,
      folder,
      limits: TOOL_LIMITS,
    };
  }

  #deno(args: readonly string[], folder: string, signal: AbortSignal) {
    const program: Confined = {
      program: Deno.execPath(),
      args: [...args, "--quiet", "--no-lock", "--no-npm", "--no-remote", `${folder}/tool.ts`],
      env: { ...SEALED_ENV, DENO_DIR: `${folder}/deno`, HOME: folder },
      read: [`${this.config.code}runtime/confined/tool_kit`],
      write: [folder],
      network: false,
      folder,
      limits: CHECK_LIMITS,
    };
    return runConfined(program, this.config.layers, { deadline_ms: CHECK_DEADLINE_MS, signal });
  }
}

/** `whole`: once all is there that the tool had printed by then. */
type Reported = ToolReport & { readonly whole: Promise<unknown> };

function reportIn(body: Uint8Array): ToolReport {
  const report = toolReport(body);
  if (!report) return { ok: false, error: "The tool's process sent something that is no report" };
  if (report.ok) return report;
  return { ok: false, error: plain(report.error).slice(0, TOOL_ERROR_CHARS_MAX) };
}

interface OpenCell {
  readonly cell: CellProcess;
  readonly folder: string;
  readonly place: number;
  readonly log: () => string;
}

/** The path of a tool cell's socket; each has its own grant, since grants know no wildcard. */
export function toolSocketPath(folder: string, place: number): string {
  return `${folder}/tool-${place}.sock`;
}

/** What a tool imports besides the kit, in one sentence, or null. */
function strangeImports(info: string): string | null {
  let graph: { modules?: { specifier: string; error?: string; dependencies?: Dependency[] }[] };
  try {
    graph = JSON.parse(info);
  } catch {
    return `The imports cannot be read: ${info.slice(0, RESULT_BYTES_MAX)}`;
  }
  const tool = graph.modules?.find(({ specifier }) => specifier.endsWith("/tool.ts"));
  if (!tool || tool.error) return tool?.error ?? "The source is not a module";
  const strange = (tool.dependencies ?? []).map(({ specifier }) => specifier)
    .filter((specifier) => specifier !== "troupe");
  if (strange.length === 0) return null;
  return `A tool may import "troupe" (the tool kit) and nothing else, not: ${strange.join(", ")}`;
}

interface Dependency {
  readonly specifier: string;
}
