/** `use_terminal`: one shell command in the tree's workspace, contained like a written tool. */
import { OUTPUT_TAIL_CHARS, TERMINAL_LIMITS, TERMINAL_SECONDS } from "../core/limits.ts";
import type { Parts } from "../kernel.ts";
import { type Confined, runConfined } from "../confined/sandbox.ts";
import { approval } from "../outbox/approval.ts";
import { answer, type Outcome, type ToolCall } from "../outbox/execute.ts";
import { TOO_LARGE, withinQuota } from "../confined/quota.ts";
import { fitted } from "./spill.ts";

interface Command {
  readonly command: string;
  readonly timeout_seconds?: number;
  readonly network?: boolean;
}

/** Whether a person has to allow this command first; null when not, or when they did. */
export async function commandApproval(parts: Parts, call: ToolCall): Promise<Outcome | null> {
  const { command, network = false } = call.input as unknown as Command;
  const contained = parts.tools.config.layers.bwrap;
  if (contained && !network) return null;
  const why = contained
    ? "It asks for the network."
    : "This machine has no bwrap: the command could do all that you can do.";
  return await approval(parts, call, () =>
    Promise.resolve({
      issue: `May this command be run in the workspace? ${why}`,
      detail: command,
    }));
}

/** Runs it to its end. What it prints is shown while it runs. */
export async function useTerminal(
  parts: Parts,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Outcome> {
  const { command, timeout_seconds = TERMINAL_SECONDS, network = false } = call
    .input as unknown as Command;
  const workspace = await parts.files.workspace(call.tree_id);
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
  const show = parts.outputs.open(call.task_id, call.tree_id, `$ ${command}\n`);
  const { result: ran, full } = await withinQuota(
    parts.clock,
    workspace,
    signal,
    (signal) =>
      runConfined(program, parts.tools.config.layers, {
        deadline_ms: timeout_seconds * 1000,
        signal,
        onOutput: show.write,
      }),
  ).finally(show.close);
  const stopped = full ? TOO_LARGE : ran.stopped;
  const end = stopped
    ? `Ended from outside: ${stopped}`
    : ran.signal
    ? `Ended by ${ran.signal}`
    : `Exit code ${ran.code}`;
  const dropped = ran.dropped > 0 ? `\n… ${ran.dropped} more bytes of output were dropped` : "";
  const text = `${end}\n${ran.output}${dropped}`;
  const content = await fitted(parts, call, text, signal);
  return answer(call.call_id, { content, ...ran.code === 0 && !stopped ? {} : { is_error: true } });
}

/** What commands print while they run, by task; shown on the tree's page and then forgotten. */
export class Outputs {
  readonly #texts = new Map<string, string>();

  /** @param publish called when there is something new of a tree */
  constructor(readonly publish: (tree_id: string) => void) {}

  of(task_id: string): string | null {
    return this.#texts.get(task_id) ?? null;
  }

  open(task_id: string, tree_id: string, head: string) {
    const set = (text: string) => {
      this.#texts.set(task_id, text.slice(-OUTPUT_TAIL_CHARS));
      this.publish(tree_id);
    };
    set(head);
    return {
      write: (text: string) => set((this.#texts.get(task_id) ?? "") + text),
      close: () => {
        this.#texts.delete(task_id);
        this.publish(tree_id);
      },
    };
  }
}
