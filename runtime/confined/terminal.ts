/** One shell command in a tree's workspace, contained like a written tool. */
import { TERMINAL_LIMITS } from "../core/limits.ts";
import type { Clock, CommandEnd, Terminal } from "../ports.ts";
import { withinQuota } from "./quota.ts";
import { type Confined, type Layers, runConfined } from "./sandbox.ts";
import type { Workspaces } from "./workspaces.ts";

export class Shell implements Terminal {
  constructor(
    readonly layers: Layers,
    readonly workspaces: Workspaces,
    readonly clock: Clock,
  ) {}

  get contained(): boolean {
    return this.layers.bwrap;
  }

  async run(
    { tree_id, command, timeout_seconds, network }: Parameters<Terminal["run"]>[0],
    signal: AbortSignal,
    onOutput: (text: string) => void,
  ): Promise<CommandEnd> {
    const workspace = await this.workspaces.folderOf(tree_id);
    const program: Confined = {
      program: "sh",
      args: ["-c", command],
      env: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: workspace,
        TERM: "dumb",
        LANG: "C.UTF-8",
      },
      read: [],
      write: [workspace],
      network,
      folder: workspace,
      limits: TERMINAL_LIMITS,
    };
    const { result: ran, full } = await withinQuota(
      this.clock,
      this.layers,
      workspace,
      signal,
      (signal) =>
        runConfined(program, this.layers, {
          deadline_ms: timeout_seconds * 1000,
          signal,
          onOutput,
        }),
    );
    return { ...ran, stopped: full ?? ran.stopped };
  }
}
