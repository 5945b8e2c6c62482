/**
 * The workspaces, seen from the kernel, which opens no path in them itself: each has a process of its own
 * that can reach nothing else. It is started when something is asked of it, answers one request after the
 * other, is ended with whatever it does when that takes too long, and stays warm for a while.
 */
import {
  FILES_DEADLINE_MS,
  WORKSPACE_FRAME_BYTES_MAX,
  WORKSPACE_LIMITS,
  WORKSPACE_PROCESSES_MAX,
  WORKSPACE_WARM_MS,
} from "../core/limits.ts";
import { reasonOf } from "../core/reason.ts";
import { Refusal } from "../core/refusal.ts";
import type { Child, Clock, Files, FilesReply, Log } from "../ports.ts";
import { CellProcess } from "./process.ts";
import { type Confined, type Layers, SEALED, SEALED_ENV } from "./sandbox.ts";
import { CELL, NONCE } from "./wire.ts";
import type { WorkspaceReply, WorkspaceRequest } from "./workspace.ts";
import { workspaceReply } from "./workspace_reply.ts";

export interface WorkspacesConfig {
  /** The folder that holds one folder a tree. */
  readonly workspaces: string;
  /** An existing folder, of ours alone, for the sockets. */
  readonly sockets: string;
  readonly code: string;
  readonly layers: Layers;
}

/** What is asked took longer than it may: that is its answer, and no reason to ask again. */
class TooLate extends Refusal {
  constructor(message: string) {
    super("path", message);
  }
}

/** A workspace that is in use, or was a moment ago. */
interface OpenWorkspace {
  readonly folder: string;
  /** Null while it has no process. */
  process: { readonly cell: CellProcess; readonly place: number } | null;
  /** The end of the last of its requests. */
  last: Promise<unknown>;
  /** Requests at work and waiting. */
  asked: number;
  /** Calls off its end. */
  keep: () => void;
}

export class Workspaces implements Files {
  readonly #open = new Map<string, OpenWorkspace>();
  readonly #places = new Set<number>();
  /** For a place, first come, first served. */
  readonly #waiting: (() => void)[] = [];
  #count = 0;
  #stopped = true;

  constructor(readonly config: WorkspacesConfig, readonly clock: Clock, readonly log: Log) {}

  /** The starter of the supervision tree's `files` child. */
  readonly open = (): Promise<Child> => {
    const gone = Promise.withResolvers<string | null>();
    this.#stopped = false;
    return Promise.resolve({
      gone: gone.promise,
      stop: async () => {
        this.#stopped = true;
        await Promise.all([...this.#open.values()].map((one) => this.#end(one)));
        gone.resolve(null);
      },
    });
  };

  /** A tree's folder as it is on disk, made if it is not there. */
  async folderOf(tree_id: string): Promise<string> {
    const folder = `${this.config.workspaces}/${tree_id}`;
    await Deno.mkdir(folder, { recursive: true });
    return folder;
  }

  async use(
    { tree_id, tool, input }: Parameters<Files["use"]>[0],
    signal: AbortSignal,
  ): Promise<FilesReply> {
    const folder = await this.folderOf(tree_id);
    try {
      const did = await this.#ask(folder, { do: "use", tool, input }, signal);
      if (did.did !== "use") throw new Error(`The workspace process did ${did.did}`);
      return did.reply;
    } catch (error) {
      if (error instanceof TooLate) return { content: error.message, is_error: true };
      throw error;
    }
  }

  /**
   * Paths in a workspace that were granted, as they are on disk.
   * @param make whether those that are not there are made, as folders
   * @throws {Refusal} for one that leads out of it: it is no path in it
   */
  async resolve(
    folder: string,
    paths: readonly string[],
    make: boolean,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    if (paths.length === 0) return [];
    const did = await this.#ask(folder, { do: "resolve", paths, make }, signal);
    const places = did.did === "resolve" ? did.places : [];
    return paths.map((path, index) => {
      const place = places[index] ?? "";
      // A comma would end it in a list of grants, whatever follows.
      if ((place === folder || place.startsWith(`${folder}/`)) && !place.includes(",")) {
        return place;
      }
      throw new Refusal("permissions", `${path} leads out of the workspace`);
    });
  }

  /** Writes these texts, by their paths, into a folder that is empty and gone soon. */
  async fill(
    folder: string,
    files: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    if (Object.keys(files).length === 0) return;
    const did = await this.#ask(folder, { do: "fill", files }, signal);
    if (did.did !== "fill") throw new Refusal("files", "The files of the test cannot be written");
  }

  /** Ends the process of a folder, which is about to go. */
  async leave(folder: string): Promise<void> {
    const one = this.#open.get(folder);
    if (one) await this.#end(one);
  }

  async #ask(
    folder: string,
    request: WorkspaceRequest,
    signal: AbortSignal,
  ): Promise<WorkspaceReply> {
    if (this.#stopped) throw new Error("No workspace is open");
    const one = this.#open.get(folder) ??
      { folder, process: null, last: Promise.resolve(), asked: 0, keep: () => {} };
    this.#open.set(folder, one);
    one.keep();
    one.asked++;
    const asked = one.last.then(() => this.#answer(one, request, signal));
    one.last = asked.catch(() => {});
    try {
      return await asked;
    } finally {
      one.asked--;
      this.#rest(one);
    }
  }

  async #answer(
    one: OpenWorkspace,
    request: WorkspaceRequest,
    signal: AbortSignal,
  ): Promise<WorkspaceReply> {
    signal.throwIfAborted();
    const { cell } = one.process ?? await this.#start(one);
    const answered = Promise.withResolvers<WorkspaceReply>();
    // What cannot even be asked is waited for by nobody.
    answered.promise.catch(() => {});
    cell.onFrame = (_, body) => {
      const reply = workspaceReply(body);
      if (reply === null) answered.reject(new Error("The workspace process said nothing sensible"));
      else if (reply.did === "nothing") answered.reject(new Error(reply.why));
      else answered.resolve(reply);
    };
    cell.gone.then((reason) => answered.reject(new TooLate(`It was ended: ${reason}`)));
    const callOff = this.clock.after(FILES_DEADLINE_MS, () => {
      answered.reject(
        new TooLate(`It took longer than ${FILES_DEADLINE_MS / 1000} s and was ended`),
      );
      cell.kill("it took too long");
    });
    const calledOff = () => {
      answered.reject(new Error("Called off"));
      cell.kill("it was called off");
    };
    signal.addEventListener("abort", calledOff, { once: true });
    if (signal.aborted) calledOff();
    try {
      cell.send(CELL, JSON.stringify(request));
      return await answered.promise;
    } finally {
      callOff();
      signal.removeEventListener("abort", calledOff);
      cell.onFrame = () => {};
      // Whoever waits for a place gets this one: a tree with many calls keeps it from nobody.
      if (cell.doomed || this.#waiting.length > 0) await this.#end(one);
    }
  }

  async #start(one: OpenWorkspace): Promise<NonNullable<OpenWorkspace["process"]>> {
    const place = await this.#place();
    if (this.#stopped) {
      this.#leave(place);
      throw new Error("No workspace is open");
    }
    const cell = new CellProcess(
      `workspace-${++this.#count}`,
      this.clock,
      WORKSPACE_FRAME_BYTES_MAX,
    );
    cell.onOutput = (text) => this.log(`${cell.id}: ${text.trim()}`);
    try {
      const socket = workspaceSocketPath(this.config.sockets, place);
      await cell.open(this.#program(socket, one.folder), this.config.layers, socket);
      // All of them were ended meanwhile.
      if (this.#stopped) {
        await cell.stop();
        throw new Error("no workspace is open");
      }
      return one.process = { cell, place };
    } catch (error) {
      this.#leave(place);
      throw new Error(`A workspace process cannot be started: ${reasonOf(error)}`);
    }
  }

  /** A free place; the one that rests for the longest makes room. */
  async #place(): Promise<number> {
    while (this.#places.size >= WORKSPACE_PROCESSES_MAX) {
      const resting = [...this.#open.values()].find(({ process, asked }) => process && asked === 0);
      if (resting) await this.#end(resting);
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const place = Array.from({ length: WORKSPACE_PROCESSES_MAX }, (_, place) => place)
      .find((place) => !this.#places.has(place))!;
    this.#places.add(place);
    return place;
  }

  #leave(place: number): void {
    this.#places.delete(place);
    this.#waiting.shift()?.();
  }

  /** Nothing is asked of it now: its process stays for a while. */
  #rest(one: OpenWorkspace): void {
    if (one.asked > 0) return;
    // The longest resting one stands first.
    this.#open.delete(one.folder);
    if (!one.process) return;
    this.#open.set(one.folder, one);
    one.keep = this.clock.after(WORKSPACE_WARM_MS, () => void this.#end(one));
    this.#waiting.shift()?.();
  }

  async #end(one: OpenWorkspace): Promise<void> {
    one.keep();
    const { process } = one;
    one.process = null;
    if (one.asked === 0 && this.#open.get(one.folder) === one) this.#open.delete(one.folder);
    if (!process) return;
    await process.cell.stop();
    this.#leave(process.place);
  }

  #program(socket: string, folder: string): Confined {
    const { code, layers } = this.config;
    return {
      program: Deno.execPath(),
      args: [
        "run",
        ...SEALED,
        "--no-config",
        // What it keeps in memory ends with it; its share of the CPU is not for background work.
        "--v8-flags=--single-threaded-gc",
        `--allow-read=${socket},${folder}`,
        `--allow-write=${socket},${folder}`,
        `--allow-net=unix:${socket}`,
        `--allow-env=${NONCE}`,
        `${code}runtime/confined/workspace.ts`,
        socket,
        folder,
      ],
      // Into a folder that cannot be Deno 2.9.6 tries to write for 150 ms. Only our own code runs here, and
      // the namespace's /tmp is nobody else's.
      env: { ...SEALED_ENV, ...layers.bwrap ? { DENO_DIR: "/tmp/deno" } : {} },
      read: [`${code}runtime`],
      write: [socket, folder],
      network: false,
      folder,
      limits: WORKSPACE_LIMITS,
    };
  }
}

/** The path of a workspace process's socket; each has its own grant, since grants know no wildcard. */
export function workspaceSocketPath(folder: string, place: number): string {
  return `${folder}/workspace-${place}.sock`;
}
