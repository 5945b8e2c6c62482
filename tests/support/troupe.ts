/** The real program as a process: the launcher with the permissions of `deno task start`. */
import assert from "node:assert/strict";
import { EXIT } from "../../runtime/core/exit.ts";
import { tempFolder } from "./folder.ts";
import { onceGiven } from "./until.ts";

export const CODE = decodeURIComponent(new URL("../../", import.meta.url).pathname);

/** What the task in `deno.json` grants the launcher. */
const GRANTS = [
  "--quiet",
  "--no-prompt",
  "--no-check",
  "--allow-read",
  "--allow-env",
  "--allow-run",
  "--allow-net=127.0.0.1",
];

/** What a process needs of the surroundings; nothing else of them reaches it. */
const SURROUNDINGS = ["PATH", "HOME", "DENO_DIR", "TMPDIR", "XDG_CACHE_HOME"];

/** @param around a program that starts it, with its arguments, such as `prlimit` */
function launcher(
  args: readonly string[],
  env: Record<string, string>,
  around: readonly string[] = [],
): Deno.Command {
  const kept = SURROUNDINGS.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  const [program, ...before] = [...around, Deno.execPath()];
  return new Deno.Command(program, {
    args: [...before, "run", ...GRANTS, "deploy/launcher.ts", ...args],
    cwd: CODE,
    clearEnv: true,
    env: { ...Object.fromEntries(kept), PORT: "0", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the launcher to its end. A launcher that would serve for ever is ended after `deadline_ms`. */
export async function runLauncher(
  args: readonly string[],
  env: Record<string, string>,
  deadline_ms = 30_000,
): Promise<Ended> {
  const process = launcher(args, env).spawn();
  const inTime = onceGiven(deadline_ms, () => process.kill("SIGTERM"));
  const { code, stdout, stderr } = await process.output();
  inTime();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** It must say one sentence that has these words, and end with 78. A new database is seeded first. */
export function assertRefused({ code, stdout, stderr }: Ended, ...words: RegExp[]): void {
  const said = `exit code ${code}, standard error:\n${stderr}`;
  assert.equal(code, EXIT.config, said);
  const lines = stderr.trim().split("\n").filter((line) => !/^Seeded \d+ definitions$/.test(line));
  assert.equal(lines.length, 1, said);
  assert.match(lines[0], /^Cannot /, said);
  assert.doesNotMatch(stderr, / {4}at |Error:|file:\/\/\/\S*\.ts/, said);
  for (const word of words) assert.match(stderr, word, said);
  assert.doesNotMatch(stdout, /ready/);
}

/** Runs the launcher, and ends it politely as soon as its standard error has `words`. */
export async function stopAt(
  words: RegExp,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Ended> {
  const process = launcher(args, env).spawn();
  let [stdout, stderr, asked] = ["", "", false];
  const said = follow(process.stdout, (text) => stdout = text);
  await follow(process.stderr, (text) => {
    stderr = text;
    if (!asked && words.test(text)) process.kill("SIGTERM");
    asked ||= words.test(text);
  });
  await said;
  const { code } = await process.status;
  return { code, stdout, stderr };
}

export interface Troupe extends AsyncDisposable {
  readonly url: string;
  readonly data_dir: string;
  /** Of the launcher. */
  readonly pid: number;
  /** What it has said on standard error so far. */
  log(): string;
  /** Of the kernel, as the kernel wrote it down. */
  kernelPid(): Promise<number>;
  /** Ends it politely; gives the launcher's exit code. */
  stop(): Promise<number>;
}

/**
 * Starts Troupe on a free port and waits until it says that it is ready.
 * @param env goes before a data folder of its own, which is removed by `stop`
 * @param args further words for the launcher
 * @param around a program that starts the launcher, with its arguments
 * @throws {Error} with what it said, when it ends before it is ready
 */
export async function startTroupe(
  { env = {}, args = [], around = [] }: {
    env?: Record<string, string>;
    args?: readonly string[];
    around?: readonly string[];
  } = {},
): Promise<Troupe> {
  const own = env.DATA_DIR === undefined ? await tempFolder() : null;
  const data_dir = env.DATA_DIR ?? own!.path;
  const process = launcher(["start", ...args], { DATA_DIR: data_dir, ...env }, around).spawn();
  let log = "";
  const ready = Promise.withResolvers<string>();
  const said = follow(process.stdout, (text) => {
    const url = /^Troupe is ready on (\S+)$/m.exec(text)?.[1];
    if (url) ready.resolve(url);
  });
  const complained = follow(process.stderr, (text) => log = text);
  process.status.then(async ({ code }) => {
    await complained;
    ready.reject(new Error(`Troupe ended with ${code} before it was ready: ${log}`));
  });
  let stopped: Promise<number> | null = null;
  const stop = () =>
    stopped ??= (async () => {
      process.kill("SIGTERM");
      const { code } = await process.status;
      await Promise.all([said, complained]);
      await own?.[Symbol.asyncDispose]();
      return code;
    })();
  return {
    url: await ready.promise,
    data_dir,
    pid: process.pid,
    log: () => log,
    kernelPid: async () => JSON.parse(await Deno.readTextFile(`${data_dir}/holder.json`)).pid,
    stop,
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}

/** A port that nobody has at this moment: a kernel that is started again keeps it. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** Reads a stream to its end; `onText` gets all of it so far. */
async function follow(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onText: (text: string) => void,
): Promise<void> {
  let all = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) onText(all += text);
}
