/**
 * Keeps the kernel running. Reads the environment, grants the kernel exactly what it needs, starts
 * it, and starts it again when it dies; the journal takes up where it was.
 *
 * `start` serves until it is stopped; a kernel that says nothing for `--silence SECONDS` is ended and
 * started anew. `run "TASK"` does one task in the terminal; `seed` writes the seeds into the database.
 */
import { load } from "./environment.ts";
import { type KernelProcess, refusal, startKernel } from "./kernel_process.ts";
import { runTask } from "./terminal.ts";
import { EXIT } from "../runtime/core/exit.ts";
import {
  KERNEL_BEAT_MS,
  KERNEL_RESTART_PAUSE_MS,
  KERNEL_RESTARTS_MAX,
  KERNEL_RESTARTS_PERIOD_MS,
  KERNEL_SILENT_MS,
} from "../runtime/core/limits.ts";

/** Signals with which somebody else ends a kernel. */
const FROM_OUTSIDE: readonly (Deno.Signal | null)[] = ["SIGKILL", "SIGTERM", "SIGINT"];

const [command = "start", ...words] = Deno.args;
const environment = await load();
const refused = refusal(environment);
if (refused) {
  console.error(refused);
  Deno.exit(EXIT.config);
}
switch (command) {
  case "start":
    Deno.exit(await keepRunning(["serve"], silenceOf(words)));
    break;
  case "seed":
    Deno.exit(await once(["seed", ...words]));
    break;
  case "run":
    Deno.exit(await runTask(words, environment));
    break;
  default:
    console.error(`There is no command ${command}: use start, run "TASK" or seed`);
    Deno.exit(EXIT.config);
}

/** Runs the kernel until it is stopped, or until it fails in a way that a restart cannot mend. */
async function keepRunning(args: string[], serving_ms: number): Promise<number> {
  let kernel: KernelProcess | null = null;
  let stopping = false;
  const stop = () => {
    stopping = true;
    kernel?.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);

  let deaths: number[] = [];
  let predecessor_died = false;
  while (!stopping) {
    kernel = startKernel(args, environment, { serving_ms, predecessor_died });
    const { code, signal } = await kernel.status;
    if (stopping || code === EXIT.ok || code === EXIT.config) return stopping ? EXIT.ok : code;
    // Who was killed from outside did not die of what it was doing.
    predecessor_died = kernel.hung || !FROM_OUTSIDE.includes(signal);
    const now = Date.now();
    deaths = [...deaths.filter((at) => now - at < KERNEL_RESTARTS_PERIOD_MS), now];
    const cause = signal ? `signal ${signal}` : `exit code ${code}`;
    if (deaths.length > KERNEL_RESTARTS_MAX) {
      console.error(`The kernel died ${deaths.length} times within a minute (${cause}): giving up`);
      return EXIT.restart;
    }
    console.error(`The kernel died (${cause}): starting it again`);
    await new Promise((resolve) => setTimeout(resolve, KERNEL_RESTART_PAUSE_MS * deaths.length));
  }
  return EXIT.ok;
}

function silenceOf([flag, seconds]: readonly string[]): number {
  if (flag === undefined) return KERNEL_SILENT_MS;
  // Two beats at the least: one may be late on a healthy machine.
  const least = 2 * KERNEL_BEAT_MS / 1000;
  if (flag === "--silence" && Number(seconds) >= least) return Number(seconds) * 1000;
  console.error(`Usage: deno task start [--silence SECONDS], ${least} at the least`);
  Deno.exit(EXIT.config);
}

async function once(args: string[]): Promise<number> {
  const { code } = await startKernel(args, environment).status;
  return code;
}
