/** The data folder: made, held by one kernel at a time, and told apart from other nodes' folders. */
import { ConfigError } from "./core/config.ts";
import { reasonOf } from "./core/reason.ts";

/** Who holds the folder, as the holder wrote it down. */
export interface Holder {
  readonly pid: number;
  /** Where its API answers; null for a run in a terminal. */
  readonly url: string | null;
}

export class DataFolder {
  private constructor(
    readonly path: string,
    /** This node, for ever: claims that it made before a crash are recognised by it. */
    readonly node_id: string,
    readonly sockets: string,
    readonly workspaces: string,
    /** For folders that are used once; what stands there at a start belonged to processes that are dead. */
    readonly scratch: string,
    /** What is to go; it is removed while the kernel runs, and is in nobody's way. */
    readonly trash: string,
    /** Recorded model calls, one file a tree. */
    readonly cassettes: string,
    readonly lock: Deno.FsFile,
  ) {}

  /**
   * Takes hold of the folder.
   * @param sockets a folder with a short path for the cells' sockets
   * @returns the holder instead, when somebody else has it
   * @throws {ConfigError} when it cannot be made or written
   */
  static async take(path: string, sockets: string): Promise<DataFolder | Holder> {
    try {
      await Deno.mkdir(`${path}/workspaces`, { recursive: true });
      await Deno.mkdir(sockets, { recursive: true });
      const lock = await Deno.open(`${path}/lock`, { read: true, write: true, create: true });
      // Held until this process ends, however it ends.
      if (!await lock.tryLock(true)) {
        lock.close();
        return await holderOf(path);
      }
      const real = await Deno.realPath(path);
      // Nobody else's: what agents write is in here.
      await Deno.chmod(real, 0o700);
      for (const name of ["scratch", "trash", "cassettes"]) {
        await Deno.mkdir(`${real}/${name}`, { recursive: true });
      }
      return new DataFolder(
        path,
        await nodeId(path),
        await Deno.realPath(sockets),
        `${real}/workspaces`,
        `${real}/scratch`,
        `${real}/trash`,
        `${real}/cassettes`,
        lock,
      );
    } catch (error) {
      throw new ConfigError(
        `Cannot start: the data folder ${path} cannot be used (${inShort(error)}). ` +
          "DATA_DIR names another",
      );
    }
  }

  /** Writes down who holds it, for the next one who tries. */
  async sign(holder: Holder): Promise<void> {
    const file = `${this.path}/holder.json`;
    // Whoever reads it meanwhile reads the one before, and never half of one.
    await Deno.writeTextFile(`${file}.new`, JSON.stringify(holder));
    await Deno.rename(`${file}.new`, file);
  }

  release(): void {
    this.lock.close();
  }
}

async function holderOf(path: string): Promise<Holder> {
  try {
    return JSON.parse(await Deno.readTextFile(`${path}/holder.json`));
  } catch {
    // It has just started and has not signed yet.
    return { pid: 0, url: null };
  }
}

async function nodeId(path: string): Promise<string> {
  const file = `${path}/node_id`;
  const known = await Deno.readTextFile(file).catch(() => "");
  if (known) return known;
  const fresh = crypto.randomUUID();
  await Deno.writeTextFile(file, fresh);
  return fresh;
}

function inShort(error: unknown): string {
  return reasonOf(error).replace(/\s*\(os error \d+\).*$/s, "").split("\n", 1)[0];
}
