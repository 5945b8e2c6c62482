/** One shell command in a tree's workspace, contained like a written tool. */
import { TERMINAL_LIMITS } from "../core/limits.ts";
import type { Clock, CommandEnd, Terminal } from "../ports.ts";
import { TOO_LARGE, withinQuota } from "./quota.ts";
import { type Confined, type Layers, runConfined } from "./sandbox.ts";
import { workspaceOf } from "./workspace.ts";

export class Shell implements Terminal {
  constructor(
    readonly config: { readonly workspaces: string; readonly layers: Layers },
    readonly clock: Clock,
  ) {}

  get contained(): boolean {
    return this.config.layers.bwrap;
  }

  async run(
    { tree_id, command, timeout_seconds, network }: Parameters<Terminal["run"]>[0],
    signal: AbortSignal,
    onOutput: (text: string) => void,
  ): Promise<CommandEnd> {
    const workspace = await workspaceOf(this.config.workspaces, tree_id);
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
      workspace,
      signal,
      (signal) =>
        runConfined(program, this.config.layers, {
          deadline_ms: timeout_seconds * 1000,
          signal,
          onOutput,
        }),
    );
    return { ...ran, stopped: full ? TOO_LARGE : ran.stopped };
  }
}
