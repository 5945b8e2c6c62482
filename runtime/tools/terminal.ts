/** `use_terminal`: one shell command in the tree's workspace; a person allows what reaches out. */
import type { Db } from "../../db/schema.ts";
import { answer, type Outcome, type ToolCall, type ToolPerformer } from "../commands/outcome.ts";
import { TERMINAL_SECONDS } from "../core/limits.ts";
import { nameBy } from "../core/toolkit/mod.ts";
import type { Files, Outputs, Terminal } from "../ports.ts";
import { approval } from "./approval.ts";
import { fitted } from "./spill.ts";

interface TerminalPorts {
  readonly read: Db;
  readonly terminal: Terminal;
  readonly files: Files;
  readonly outputs: Outputs;
}

interface ShellCommand {
  readonly command: string;
  readonly timeout_seconds?: number;
  readonly network?: boolean;
}

export function terminal(ports: TerminalPorts): ToolPerformer {
  return {
    allow: (call) => commandApproval(ports, call),
    perform(call, signal) {
      switch (nameBy("terminal", call.tool)) {
        case "use_terminal":
          return useTerminal(ports, call, signal);
      }
    },
  };
}

/** Whether a person has to allow this command first; null when not, or when they did. */
async function commandApproval(
  { read, terminal }: TerminalPorts,
  call: ToolCall,
): Promise<Outcome | null> {
  const { command, network = false } = commandOf(call);
  if (terminal.contained && !network) return null;
  const why = terminal.contained
    ? "It asks for the network."
    : "This machine has no bwrap: the command could do all that you can do.";
  return await approval(read, call, () =>
    Promise.resolve({
      issue: `May this command be run in the workspace? ${why}`,
      detail: command,
    }));
}

/** Runs it to its end. What it prints is shown while it runs. */
async function useTerminal(
  { terminal, files, outputs }: TerminalPorts,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Outcome> {
  const { command, timeout_seconds = TERMINAL_SECONDS, network = false } = commandOf(call);
  const { task_id, tree_id, call_id } = call;
  const show = outputs.open(task_id, tree_id, `$ ${command}\n`);
  const asked = { tree_id, command, timeout_seconds, network };
  const ran = await terminal.run(asked, signal, show.write).finally(show.close);
  const end = ran.stopped
    ? `Ended from outside: ${ran.stopped}`
    : ran.signal
    ? `Ended by ${ran.signal}`
    : `Exit code ${ran.code}`;
  const dropped = ran.dropped > 0 ? `\n… ${ran.dropped} more bytes of output were dropped` : "";
  const content = await fitted(files, call, `${end}\n${ran.output}${dropped}`, signal);
  const well = ran.code === 0 && !ran.stopped;
  return {
    type: "replied",
    reply: answer(call_id, { content, ...well ? {} : { is_error: true } }),
  };
}

function commandOf({ input }: ToolCall): ShellCommand {
  // As the toolkit's schema has checked it.
  return input as unknown as ShellCommand;
}
