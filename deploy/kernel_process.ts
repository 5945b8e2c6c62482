/** Starts the kernel as a process with exactly the permissions that it needs. */
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { HEARTBEAT, PREDECESSOR, SDK_VARIABLES, VARIABLES } from "../runtime/core/launch.ts";
import {
  CELLS_MAX,
  KERNEL_LOOK_MS,
  KERNEL_SILENT_MS,
  KERNEL_START_MS,
  SOCKET_FOLDER_MAX,
  TOOL_CELLS_MAX,
  WORKSPACE_PROCESSES_MAX,
} from "../runtime/core/limits.ts";
import { NEWBORN, pulseAfter, type PulseEvent, type Silence } from "../runtime/core/pulse.ts";
import { surroundings } from "./environment.ts";
import { followLines } from "./lines.ts";

export interface KernelProcess {
  /** Whether it was ended because it gave no sign of life. */
  readonly hung: boolean;
  readonly status: Promise<Deno.CommandStatus>;
  /** Resolves with the address of the kernel's API once it serves. */
  readonly ready: Promise<string>;
  /** Asks it to stop; it finishes the steps in progress. */
  stop(): void;
}

/**
 * Starts `main.ts`.
 * @param args its command and what belongs to it
 * @param environment the variables that it may see
 * @param quiet whether its greeting is kept from the terminal
 * @param serving_ms how long it may be silent once it serves
 */
export function startKernel(
  args: readonly string[],
  environment: Record<string, string>,
  { quiet = false, serving_ms = KERNEL_SILENT_MS, predecessor_died = false } = {},
): KernelProcess {
  const data = absolute(environment.DATA_DIR || "data");
  const sockets = socketFolder(data);
  // What it writes is nobody else's on this machine. One that crashes leaves no image of its memory
  // behind: the model's key is in there.
  const process = new Deno.Command("sh", {
    args: [
      "-c",
      'umask 077; ulimit -c 0; exec "$0" "$@"',
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      `--config=${code}deno.json`,
      ...grants(data, sockets, environment),
      `${code}main.ts`,
      ...args,
      "--heartbeat",
    ],
    clearEnv: true,
    env: {
      ...surroundings(),
      ...environment,
      DATA_DIR: data,
      TROUPE_SOCKETS: sockets,
      TROUPE_DESCRIPTORS: descriptors(),
      ...predecessor_died ? { [PREDECESSOR]: "died" } : {},
    },
    // Its end is how the kernel learns that the launcher is gone.
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const ready = Promise.withResolvers<string>();
  ready.promise.catch(() => {});
  let hung = false;
  const heard = watch(process, { starting_ms: KERNEL_START_MS, serving_ms }, () => hung = true);
  followLines(process.stdout, (line) => {
    if (line === HEARTBEAT) return heard({ type: "beat" });
    const url = /^Troupe is ready on (\S+)/.exec(line)?.[1];
    if (url) {
      heard({ type: "ready" });
      ready.resolve(url);
    }
    if (!quiet) console.log(line);
  }).catch((error) => console.error(`Cannot hear the kernel: ${error.message}`))
    .finally(() => ready.reject(new Error("The kernel ended before it was ready")));
  return {
    get hung() {
      return hung;
    },
    status: process.status,
    ready: ready.promise,
    stop: () => process.stdin.close().catch(() => {}),
  };
}

/**
 * Ends a kernel that hangs; its cells end by themselves when their sockets close. It is heard on its
 * output and not asked over HTTP: a line there needs no descriptor, no port and no token, so that a
 * kernel with a thousand viewers is not taken for dead.
 */
function watch(
  process: Deno.ChildProcess,
  silence: Silence,
  onHung: () => void,
): (event: PulseEvent) => void {
  let pulse = NEWBORN;
  let looked = performance.now();
  const heard = (event: PulseEvent) => {
    const { state, actions } = pulseAfter(pulse, event, silence, 2 * KERNEL_LOOK_MS);
    pulse = state;
    if (!actions.includes("kill")) return;
    const seconds = Math.round(pulse.silent_ms / 1000);
    console.error(`The kernel gave no sign of life for ${seconds} s: ending it`);
    onHung();
    process.kill("SIGKILL");
  };
  const timer = setInterval(() => {
    const now = performance.now();
    heard({ type: "look", passed_ms: now - looked });
    looked = now;
  }, KERNEL_LOOK_MS);
  process.status.finally(() => clearInterval(timer));
  return heard;
}

/** Why no kernel can be started from here, or null. */
export function refusal(environment: Record<string, string>): string | null {
  for (const path of [code, absolute(environment.DATA_DIR || "data")]) {
    if (!path.includes(",")) continue;
    return `Cannot start: the path ${path} has a comma, and Deno's grants cannot name such a path`;
  }
  return null;
}

/** Granted where they are installed: Deno complains about a program that is not there. */
const CONTAINERS = ["prlimit", "bwrap"];

function isThere(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

const code = decodeURIComponent(new URL("../", import.meta.url).pathname);

/**
 * How many the kernel may have, or nothing where nobody says: the hard limit, to which Deno raises its
 * own. The kernel could not ask for itself: `/proc` and shells are out of its reach.
 */
function descriptors(): string {
  const limit = new Deno.Command("sh", { args: ["-c", "ulimit -Hn"], clearEnv: true }).outputSync();
  const said = new TextDecoder().decode(limit.stdout).trim();
  return said === "unlimited" ? String(Number.MAX_SAFE_INTEGER) : said;
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

/** In the data folder where its path is short enough, else in the system's temporary folder. */
function socketFolder(data: string): string {
  const inside = `${data}/sockets`;
  if (inside.length <= SOCKET_FOLDER_MAX) return inside;
  // The same folder for the same data, so that a kernel which was killed leaves no litter behind.
  const print = createHash("sha256").update(data).digest("hex").slice(0, 16);
  return `${tmpdir()}/troupe-${print}`;
}

/** Each grant with its reason; nothing else is given. */
function grants(data: string, sockets: string, environment: Record<string, string>): string[] {
  const { HOST = "127.0.0.1", PORT = "8000", DATABASE_URL = "" } = environment;
  const { ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL } = environment;
  const host = !/^[\w.:[\]-]+$/.test(HOST)
    ? "127.0.0.1"
    : HOST.includes(":") && !HOST.startsWith("[")
    ? `[${HOST}]`
    : HOST;
  // What is not a port or an address gets no grant; the kernel says what is wrong with it.
  const port = /^\d{1,5}$/.test(PORT) && Number(PORT) <= 65_535 && PORT !== "0";
  const net = [port ? `${host}:${PORT}` : host];
  if (ANTHROPIC_API_KEY || ANTHROPIC_BASE_URL) {
    const provider = URL.parse(ANTHROPIC_BASE_URL || "https://api.anthropic.com");
    const standard = provider?.protocol === "http:" ? 80 : 443;
    if (provider) net.push(`${provider.hostname}:${provider.port || standard}`);
  }
  const database = URL.parse(DATABASE_URL)?.host;
  if (database) net.push(database);
  for (let place = 0; place < CELLS_MAX; place++) net.push(`unix:${sockets}/${place}.sock`);
  for (let place = 0; place < TOOL_CELLS_MAX; place++) {
    net.push(`unix:${sockets}/tool-${place}.sock`);
  }
  for (let place = 0; place < WORKSPACE_PROCESSES_MAX; place++) {
    net.push(`unix:${sockets}/workspace-${place}.sock`);
  }
  return [
    // Its own code and seeds, its data.
    `--allow-read=${[code, data, sockets].join(",")}`,
    `--allow-write=${[data, sockets].join(",")}`,
    // The page and the API, the model's provider, a remote database, the cells' sockets.
    `--allow-net=${net.join(",")}`,
    // Its variables, and those that the model's SDK, the database's and the YAML library ask for.
    `--allow-env=${
      [
        ...VARIABLES,
        ...SDK_VARIABLES,
        "TROUPE_SOCKETS",
        PREDECESSOR,
        "TROUPE_DESCRIPTORS",
        "LIBSQL_JS_DEV",
        "LOG_TOKENS",
        "LOG_STREAM",
      ].join(",")
    }`,
    // The database's native library, what its loader looks at, whether root runs it, and the disk's room.
    "--allow-ffi",
    "--allow-sys=cpus,hostname,networkInterfaces,statfs,uid",
    // The cells, the look at their CPU time, their end, the shell, and what is put around them all.
    `--allow-run=${
      [Deno.execPath(), "cat", "kill", "sh", ...CONTAINERS.filter(isThere)].join(",")
    }`,
  ];
}
