/**
 * Keeps the kernel running. Reads the environment, grants the kernel exactly what it needs, starts
 * it, and starts it again when it dies; the journal takes up where it was.
 *
 * `start` serves until it is stopped; `run "TASK"` does one task in the terminal; `seed` writes the
 * seeds into the database.
 */
import { load } from "./environment.ts";
import { type KernelProcess, refusal, startKernel } from "./kernel_process.ts";
import { runTask } from "./terminal.ts";
import { EXIT } from "../runtime/core/exit.ts";

/** More restarts than these within a minute are no accident. */
const RESTARTS_MAX = 10;
const RESTARTS_PERIOD_MS = 60_000;
/** Between a death and the next start, growing with the restarts: 0.1 s, 0.2 s, … */
const RESTART_PAUSE_MS = 100;

const [command = "start", ...words] = Deno.args;
const environment = await load();
const refused = refusal(environment);
if (refused) {
  console.error(refused);
  Deno.exit(EXIT.config);
}
switch (command) {
  case "start":
    Deno.exit(await keepRunning(["serve"]));
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
async function keepRunning(args: string[]): Promise<number> {
  let kernel: KernelProcess | null = null;
  let stopping = false;
  const stop = () => {
    stopping = true;
    kernel?.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);

  let deaths: number[] = [];
  while (!stopping) {
    kernel = startKernel(args, environment);
    const { code, signal } = await kernel.status;
    if (stopping || code === EXIT.ok || code === EXIT.config) return stopping ? EXIT.ok : code;
    const now = Date.now();
    deaths = [...deaths.filter((at) => now - at < RESTARTS_PERIOD_MS), now];
    const cause = signal ? `signal ${signal}` : `exit code ${code}`;
    if (deaths.length > RESTARTS_MAX) {
      console.error(`The kernel died ${deaths.length} times within a minute (${cause}): giving up`);
      return EXIT.restart;
    }
    console.error(`The kernel died (${cause}): starting it again`);
    await new Promise((resolve) => setTimeout(resolve, RESTART_PAUSE_MS * deaths.length));
  }
  return EXIT.ok;
}

async function once(args: string[]): Promise<number> {
  const { code } = await startKernel(args, environment).status;
  return code;
}
