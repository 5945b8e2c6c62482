/**
 * The files actor, seen from the kernel: the workspace tools. A Web Worker with access to the
 * workspaces and nothing else; which tree a call belongs to is the kernel's word, never the agent's.
 */
import type { Media } from "../../db/media.ts";
import { FILES_DEADLINE_MS } from "../core/limits.ts";
import type { Child } from "../ports.ts";
import { SystemWorker } from "./system_worker.ts";
import type { ToolCall } from "../outbox/execute.ts";

export interface Files {
  /** Performs one call. What is wrong with it comes back as an error result. */
  use(call: ToolCall, signal: AbortSignal): Promise<FilesReply>;
  /** The tree's folder as it is on disk, made if it is not there. */
  workspace(tree_id: string): Promise<string>;
}

export interface FilesRequest {
  /** The tree's own folder. */
  readonly folder: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
}

export interface FilesReply {
  readonly content: string;
  /** A picture or document that was read. */
  readonly media?: Media;
  readonly is_error?: boolean;
}

export class FilesDoor implements Files {
  #worker: SystemWorker | null = null;

  /** @param workspaces the folder that holds one folder a tree */
  constructor(readonly workspaces: string) {}

  /** The starter of the supervision tree's `files` child. */
  open(): Promise<Child> {
    this.#worker = new SystemWorker("files", import.meta.resolve("./files_worker.ts"), {
      read: [this.workspaces],
      write: [this.workspaces],
    });
    return Promise.resolve(this.#worker);
  }

  async workspace(tree_id: string): Promise<string> {
    const folder = `${this.workspaces}/${tree_id}`;
    await Deno.mkdir(folder, { recursive: true });
    return await Deno.realPath(folder);
  }

  async use({ tree_id, tool, input }: ToolCall, signal: AbortSignal): Promise<FilesReply> {
    if (!this.#worker) throw new Error("The files actor is not running");
    const request: FilesRequest = {
      folder: `${this.workspaces}/${tree_id}`,
      tool: tool.name,
      input,
    };
    const both = AbortSignal.any([signal, AbortSignal.timeout(FILES_DEADLINE_MS)]);
    return await this.#worker.ask(request, both) as FilesReply;
  }
}
