/**
 * The files actor, seen from the kernel: the workspace tools. A Web Worker with access to the
 * workspaces and nothing else; which tree a call belongs to is the kernel's word, never the agent's.
 */
import { FILES_DEADLINE_MS } from "../core/limits.ts";
import type { Child, Files, FilesReply } from "../ports.ts";
import type { FilesRequest } from "./files_worker.ts";
import { SystemWorker } from "./system_worker.ts";

export class FilesDoor implements Files {
  #worker: SystemWorker | null = null;

  /** @param workspaces the folder that holds one folder a tree */
  constructor(readonly workspaces: string) {}

  /** The starter of the supervision tree's `files` child. */
  readonly open = (): Promise<Child> => {
    this.#worker = new SystemWorker("files", import.meta.resolve("./files_worker.ts"), {
      read: [this.workspaces],
      write: [this.workspaces],
    });
    return Promise.resolve(this.#worker);
  };

  async use(
    { tree_id, tool, input }: Parameters<Files["use"]>[0],
    signal: AbortSignal,
  ): Promise<FilesReply> {
    if (!this.#worker) throw new Error("The files actor is not running");
    const request: FilesRequest = {
      folder: `${this.workspaces}/${tree_id}`,
      tool,
      input,
    };
    const both = AbortSignal.any([signal, AbortSignal.timeout(FILES_DEADLINE_MS)]);
    // The worker answers with nothing else.
    return await this.#worker.ask(request, both) as FilesReply;
  }
}
