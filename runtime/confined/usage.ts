/** What processes have used, as the kernel's looks need it: read from procfs, where there is one. */
import type { ProcessUsage } from "../ports.ts";

/** Linux's unit of memory on every machine that Deno is built for. */
const PAGE_BYTES = 4096;
/** Linux's unit of CPU time in procfs. */
const TICK_MS = 10;
const FILES = ["statm", "stat", "schedstat"];

/** Each process's usage by its id; who cannot be seen is left out. Never rejects. */
export async function usageOf(pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
  const lines = (await procfs(pids)).split("\n");
  // One process for them all, as long as each is there and has three lines to say.
  if (lines.length === FILES.length * pids.length) {
    return new Map(pids.map((pid, index) => {
      return [pid, parsed(lines.slice(FILES.length * index, FILES.length * (index + 1)))];
    }));
  }
  const usage = new Map<number, ProcessUsage>();
  if (pids.length === 1) return usage;
  for (const alone of await Promise.all(pids.map((pid) => usageOf([pid])))) {
    for (const [pid, used] of alone) usage.set(pid, used);
  }
  return usage;
}

/** As in proc_pid_statm(5), proc_pid_stat(5), and the kernel's `sched-stats.rst`. */
function parsed([statm, stat, schedstat]: readonly string[]): ProcessUsage {
  // Fields 14 and 15; the name before them may have spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(") ") + 2).split(" ");
  const [ran_ns, waited_ns] = schedstat.split(" ");
  return {
    cpu_ms: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    ran_ms: Number(ran_ns) / 1e6,
    waited_ms: Number(waited_ns) / 1e6,
    bytes: Number(statm.split(" ")[1]) * PAGE_BYTES,
  };
}

/** Files of procfs, which Deno itself reads for nobody without every right; what is not there is empty. */
async function procfs(pids: readonly number[]): Promise<string> {
  if (Deno.build.os !== "linux" || pids.length === 0) return "";
  const args = pids.flatMap((pid) => FILES.map((file) => `/proc/${pid}/${file}`));
  try {
    // Nothing of the surroundings goes along: with a loader's variable in them it could not be started.
    const cat = new Deno.Command("cat", { args, clearEnv: true, stdin: "null", stderr: "null" });
    return new TextDecoder().decode((await cat.output()).stdout).trimEnd();
  } catch {
    // Nothing can be started, as when no descriptor is free: then nothing is seen for a while.
    return "";
  }
}
