/**
 * Keeps a workspace from growing without end while somebody writes into it: no user can set a quota. It is
 * weighed by the system's own programs, in a process that sees nothing else: names and depths are no matter.
 */
import { statfs } from "node:fs/promises";
import {
  DISK_FREE_BYTES_LEAST,
  WEIGHING_MS,
  WORKSPACE_BYTES_MAX,
  WORKSPACE_FILES_MAX,
  WORKSPACE_LIMITS,
  WORKSPACE_LOOK_MS,
} from "../core/limits.ts";
import type { Clock } from "../ports.ts";
import { type Confined, type Layers, runConfined } from "./sandbox.ts";

/** What a folder holds. */
export interface Weight {
  /** As the files say, or as they take of the disk, whichever is more. */
  readonly bytes: number;
  /** Files, folders and whatever else has a name. */
  readonly files: number;
  /** Whether a folder forbids to look into it. */
  readonly hidden: boolean;
}

/**
 * Runs something that writes into a folder, and calls it off when the folder grows too large.
 * @returns what came of it, and why it was called off, if it was
 */
export async function withinQuota<T>(
  clock: Clock,
  layers: Layers,
  folder: string,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<{ result: T; full: string | null }> {
  const full = new AbortController();
  const over = new AbortController();
  let callOff = () => {};
  const look = async () => {
    const why = await overQuota(layers, folder, over.signal).catch(() => null);
    if (over.signal.aborted) return;
    if (why !== null) full.abort(why);
    else callOff = clock.after(WORKSPACE_LOOK_MS, look);
  };
  look();
  try {
    const result = await run(AbortSignal.any([signal, full.signal]));
    return { result, full: full.signal.aborted ? String(full.signal.reason) : null };
  } finally {
    over.abort();
    callOff();
  }
}

/** Why nothing more may be written into a folder, or null. */
export async function overQuota(
  layers: Layers,
  folder: string,
  signal: AbortSignal,
): Promise<string | null> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < DISK_FREE_BYTES_LEAST) {
    return `the disk has less than ${DISK_FREE_BYTES_LEAST / 2 ** 20} MB left`;
  }
  const weight = await weigh(layers, folder, signal);
  if (weight === null || weight.files > WORKSPACE_FILES_MAX) {
    return `the workspace has more than ${WORKSPACE_FILES_MAX} files`;
  }
  const { bytes, hidden } = weight;
  if (hidden) return "the workspace has a folder that may not be looked into";
  return bytes > WORKSPACE_BYTES_MAX
    ? `the workspace grew over ${WORKSPACE_BYTES_MAX / 2 ** 20} MB`
    : null;
}

/** What a folder holds; null when that takes too long to count. */
export async function weigh(
  layers: Layers,
  folder: string,
  signal: AbortSignal,
): Promise<Weight | null> {
  const scale: Confined = {
    program: "sh",
    // A NUL for each name, whatever else it is made of.
    args: [
      "-c",
      "du -skx . | cut -f1; du -skx --apparent-size . | cut -f1; " +
      "find . -xdev -print0 | tr -dc '\\0' | wc -c",
    ],
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
    read: [folder],
    write: [],
    network: false,
    folder,
    limits: WORKSPACE_LIMITS,
  };
  const ran = await runConfined(scale, layers, { deadline_ms: WEIGHING_MS, signal });
  // What vanishes meanwhile, or may not be looked into, is complained about on lines of other words.
  const counts = ran.output.split("\n").filter((line) => /^ *\d+$/.test(line)).map(Number);
  const files = counts.pop();
  if (ran.stopped !== null || files === undefined) return null;
  return {
    bytes: Math.max(...counts) * 1024,
    files,
    hidden: ran.output.includes("Permission denied"),
  };
}
