/**
 * How a process that runs other people's code is started: the layers of containment that this machine
 * has, and the command line that puts them around a program. What is missing is said, never skipped
 * in silence.
 */
import type { Containment } from "../core/config.ts";
import {
  NAMESPACE_TMP_BYTES,
  OUTPUT_BYTES_MAX,
  type ProcessLimits,
  TOOL_LIMITS,
} from "../core/limits.ts";

/** What this machine can put around a process. */
export interface Layers {
  /** Namespaces of its own: no network, no files and no processes but its own. */
  readonly bwrap: boolean;
  /** Limits on memory, CPU time, open files and file size. */
  readonly prlimit: boolean;
}

/** A program with everything that it may touch. */
export interface Confined {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute paths that it can see, and those that it can change as well. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly network: boolean;
  /** Where it starts; one of `read` or `write`. */
  readonly folder: string;
  readonly limits: ProcessLimits;
}

/** Looks what works here by doing it. */
export async function probeLayers(): Promise<Layers> {
  const nothing = {
    program: "true",
    args: [],
    env: {},
    read: [],
    write: [],
    network: false,
    folder: "/",
    limits: TOOL_LIMITS,
  };
  const works = async (layers: Layers) => {
    const { command, args } = confine(nothing, layers);
    try {
      return (await new Deno.Command(command, { args, ...QUIET }).output()).success;
    } catch {
      // Not installed, or not granted because it is not installed.
      return false;
    }
  };
  const prlimit = await works({ bwrap: false, prlimit: true });
  return { prlimit, bwrap: await works({ bwrap: true, prlimit: false }) };
}

/** What a person should know about this machine, in one line. */
export function describeLayers(
  { bwrap, prlimit }: Layers,
  containment: Containment,
): string {
  const has = [
    "a process of its own with Deno's permissions",
    ...prlimit ? ["limits (prlimit)"] : [],
    ...bwrap ? ["namespaces (bwrap)"] : [],
  ];
  const lacks = [...prlimit ? [] : ["prlimit"], ...bwrap ? [] : ["bwrap"]];
  const missing = lacks.length > 0 ? ` Missing on this machine: ${lacks.join(", ")}.` : "";
  // The system never refuses root a process.
  const root = prlimit && Deno.uid() === 0
    ? " Troupe runs as root, for whom the limit on processes does not hold."
    : "";
  const refused = !bwrap && containment === "strict"
    ? " CONTAINMENT is strict: without bwrap they are not run."
    : "";
  return `Tools that agents write are contained by ${has.join(", ")}.${missing}${root}${refused}`;
}

/** Flags of every Deno that runs such code: nothing is asked, fetched or configured. */
export const SEALED = [
  "--quiet",
  "--no-prompt",
  "--no-lock",
  "--no-npm",
  "--no-remote",
  "--cached-only",
  "--no-check",
  "--deny-import",
];

/** All that it finds in its environment. In a folder that cannot be no cache can be filled, or read by another. */
export const SEALED_ENV = {
  DENO_DIR: "/dev/null/none",
  NO_COLOR: "1",
  DENO_NO_UPDATE_CHECK: "1",
} as const;

/** What every program needs to run at all; none of it is secret. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives"];
/** What a program with network needs to find and trust a host. */
const NETWORK = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl"];

/** The command line with the layers that there are. */
export function confine(
  one: Confined,
  { bwrap, prlimit }: Layers,
): { command: string; args: string[] } {
  const { limits } = one;
  const line = [one.program, ...one.args];
  if (prlimit) {
    const nproc = bwrap ? [`--nproc=${limits.processes}`] : [];
    line.unshift(
      "prlimit",
      `--data=${limits.memory_bytes}`,
      `--cpu=${limits.cpu_seconds}`,
      `--nofile=${limits.files}`,
      `--fsize=${limits.file_bytes}`,
      "--core=0",
      ...nproc,
      "--",
    );
  }
  if (bwrap) {
    const bind = (how: string, paths: readonly string[]) =>
      paths.flatMap((path) => [how, path, path]);
    line.unshift(
      "bwrap",
      "--unshare-all",
      ...one.network ? ["--share-net"] : [],
      "--die-with-parent",
      "--new-session",
      "--cap-drop",
      "ALL",
      "--hostname",
      "sandbox",
      ...bind("--ro-bind-try", SYSTEM),
      ...one.program.startsWith("/") ? bind("--ro-bind", [one.program]) : [],
      ...one.network ? bind("--ro-bind-try", NETWORK) : [],
      "--proc",
      "/proc",
      "--dev",
      "/dev",
      ...["/dev/shm", "/tmp"].flatMap((
        path,
      ) => ["--size", String(NAMESPACE_TMP_BYTES), "--tmpfs", path]),
      ...bind("--ro-bind", one.read),
      ...bind("--bind", one.write),
      // What bwrap itself made to hold all this has no size.
      ...["/dev", "/"].flatMap((path) => ["--remount-ro", path]),
      "--chdir",
      one.folder,
      "--",
    );
  }
  return { command: line[0], args: line.slice(1) };
}

/** How a confined program ended. */
export interface Ran {
  readonly code: number;
  readonly signal: string | null;
  /** Standard output and standard error as they came, without control characters. */
  readonly output: string;
  /** Bytes of output beyond what was kept. */
  readonly dropped: number;
  /** Why it was ended from outside. */
  readonly stopped: string | null;
}

/**
 * Runs a program to its end, or to its deadline.
 * @param onOutput called with each piece of its output
 */
export async function runConfined(
  one: Confined,
  layers: Layers,
  { deadline_ms, signal, onOutput = () => {} }: {
    deadline_ms: number;
    signal: AbortSignal;
    onOutput?: (text: string) => void;
  },
): Promise<Ran> {
  const { command, args } = confine(one, layers);
  const process = new Deno.Command(command, {
    args,
    clearEnv: true,
    env: one.env,
    cwd: one.folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  let stopped: string | null = null;
  const stop = (why: string) => {
    stopped ??= why;
    killGroup(process);
  };
  const timer = setTimeout(
    () => stop(`it ran longer than ${deadline_ms / 1000} s`),
    deadline_ms,
  );
  const calledOff = () => stop("it was called off");
  signal.addEventListener("abort", calledOff, { once: true });
  if (signal.aborted) calledOff();
  const output: Output = { text: "", room: OUTPUT_BYTES_MAX, dropped: 0 };
  const reading = Promise.all(
    [process.stdout, process.stderr].map((stream) => collect(stream, output, onOutput)),
  );
  // It is waited for below, after the process's end; one that breaks before is no fault unheard.
  reading.catch(() => {});
  const { code, signal: died } = await process.status;
  clearTimeout(timer);
  signal.removeEventListener("abort", calledOff);
  // Whatever it left behind in its group holds the pipes open.
  killGroup(process);
  await reading;
  return { code, signal: died, output: output.text, dropped: output.dropped, stopped };
}

/**
 * Ends a process at once, then whatever it may have started. Signalling a group needs the right to run
 * anything (`Deno.kill`), so that the kernel leaves it to `kill`, the one program granted.
 */
export function killGroup(process: Deno.ChildProcess): void {
  try {
    process.kill("SIGKILL");
  } catch {
    // It has ended already; its group may still be there.
  }
  const args = ["-KILL", "--", `-${process.pid}`];
  const signal = async () => void await new Deno.Command("kill", { args, ...QUIET }).output();
  // Without a free descriptor nothing starts; what is left of the group loses its socket all the same.
  signal().catch(() => {});
}

/**
 * A program that neither hears nor says anything. Nothing of the surroundings goes along: with a
 * loader's variable such as `LD_LIBRARY_PATH` in them Deno lets nobody without every right start it.
 */
const QUIET = { clearEnv: true, stdin: "null", stdout: "null", stderr: "null" } as const;

interface Output {
  text: string;
  room: number;
  dropped: number;
}

/** Keeps so much of a stream; the rest is read and thrown away, so that its writer is not held up. */
async function collect(
  stream: ReadableStream<Uint8Array>,
  into: Output,
  onOutput: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const kept = chunk.subarray(0, into.room);
    into.room -= kept.length;
    into.dropped += chunk.length - kept.length;
    const text = plain(decoder.decode(kept, { stream: true }));
    if (text === "") continue;
    into.text += text;
    onOutput(text);
  }
}

/** Text without control characters but line feeds and tabs: nobody may move a person's cursor. */
export function plain(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what is taken out
  return text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/\r\n/g, "\n")
    // deno-lint-ignore no-control-regex -- the same
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, "");
}
