/** Keeps a workspace from growing without end while somebody writes into it: no user can set a quota. */
import { WORKSPACE_BYTES_MAX, WORKSPACE_LOOK_MS } from "../core/limits.ts";
import type { Clock } from "../ports.ts";

export const TOO_LARGE = `the workspace grew over ${WORKSPACE_BYTES_MAX / 2 ** 20} MB`;

/**
 * Runs something that writes into a folder, and calls it off when the folder grows too large.
 * @returns what came of it, and whether it was called off for that
 */
export async function withinQuota<T>(
  clock: Clock,
  folder: string,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<{ result: T; full: boolean }> {
  const full = new AbortController();
  let callOff = () => {};
  let over = false;
  const look = async () => {
    if (await bytesIn(folder, WORKSPACE_BYTES_MAX) > WORKSPACE_BYTES_MAX) full.abort();
    else if (!over) callOff = clock.after(WORKSPACE_LOOK_MS, look);
  };
  look();
  try {
    const result = await run(AbortSignal.any([signal, full.signal]));
    return { result, full: full.signal.aborted };
  } finally {
    over = true;
    callOff();
  }
}

/** Bytes of the files below a folder; counted no further than just beyond `most`. */
async function bytesIn(folder: string, most: number): Promise<number> {
  // What is gone under our eyes weighs nothing.
  const gone = () => null;
  let bytes = 0;
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(gone) ?? [];
  for (const { name, isDirectory, isFile } of entries) {
    const path = `${folder}/${name}`;
    if (isDirectory) bytes += await bytesIn(path, most - bytes);
    else if (isFile) bytes += (await Deno.lstat(path).catch(gone))?.size ?? 0;
    if (bytes > most) break;
  }
  return bytes;
}
