/**
 * Remembers beside the database that there is one: a data folder that was used and has lost its database,
 * or the log beside it, is refused instead of being seeded anew as if nothing had ever been there.
 */
import { ConfigError } from "./core/config.ts";
import type { Log } from "./ports.ts";
import { reasonOf } from "./core/reason.ts";

/** The file in the data folder; whoever removes it takes what is there. */
const FILE = "database.json";

/** By which the database is known, and how far it had come. */
interface Mark {
  readonly id: string;
  readonly stamp: number;
}

export class DatabaseMarker {
  #marks: Readonly<Record<string, Mark>>;
  /** One after the other, so that the last one stays. */
  #written: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    /** Which database, without what may be a secret in its address. */
    readonly name: string,
    readonly where: string,
    marks: Readonly<Record<string, Mark>>,
  ) {
    this.#marks = marks;
  }

  /**
   * What the folder knows about a database, before it is opened: opening would make a new one.
   * @throws {ConfigError} when its file was there before and is not
   */
  static async of(folder: string, url: string): Promise<DatabaseMarker> {
    const path = `${folder}/${FILE}`;
    const where = withoutSecrets(url);
    // A folder that is moved as a whole knows its database still.
    const name = where.replace(`file:${folder}/`, "file:");
    const marker = new DatabaseMarker(path, name, where, await marksIn(path));
    if (url.startsWith("file:") && marker.#marks[name]) {
      const file = url.slice("file:".length);
      if (await isLost(file)) throw marker.#refusal(`the database ${file} is missing or empty`);
    }
    return marker;
  }

  /**
   * Holds what was opened to what is known, and remembers it.
   * @throws {ConfigError} when it is another database, or the same one as it was before
   */
  async recognise({ id, stamp }: Mark): Promise<void> {
    const before = this.#marks[this.name];
    if (before && before.id !== id) throw this.#refusal(`${this.where} is another database`);
    if (before && before.stamp > stamp) {
      throw this.#refusal(
        `in ${this.where} the latest commits are missing, as when its -wal file is lost`,
      );
    }
    await this.#write({ id, stamp });
  }

  /** Remembers how far it has come. A disk that is full just now keeps nobody from working. */
  note(mark: Mark, log: Log): void {
    this.#written = this.#written.then(() => this.#write(mark)).catch((error: Error) => {
      log(`Cannot write ${this.path}: ${error.message}`);
    });
  }

  #refusal(what: string): ConfigError {
    return new ConfigError(
      `Cannot start: ${what}, and this data folder was used with it. Put it back or restore a ` +
        `backup; who removes ${this.path} takes what is there, and DATA_DIR names another folder`,
    );
  }

  /** Whole or not at all: the old file stays until the new one is on the disk. */
  async #write(mark: Mark): Promise<void> {
    this.#marks = { ...this.#marks, [this.name]: mark };
    const fresh = `${this.path}.new`;
    await Deno.writeTextFile(fresh, `${JSON.stringify(this.#marks, null, 2)}\n`);
    {
      using file = await Deno.open(fresh, { write: true });
      await file.sync();
    }
    await Deno.rename(fresh, this.path);
  }
}

async function marksIn(path: string): Promise<Record<string, Mark>> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw new ConfigError(
      `Cannot start: ${path}, which says what database belongs to this data folder, ` +
        `cannot be read (${reasonOf(error)})`,
    );
  }
}

/** A file elsewhere may not be looked at: then the database itself says who it is. */
async function isLost(file: string): Promise<boolean> {
  try {
    return (await Deno.stat(file)).size === 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    if (error instanceof Deno.errors.NotCapable) return false;
    throw error;
  }
}

/** A server's address may carry a token or a password. */
function withoutSecrets(url: string): string {
  if (url.startsWith("file:")) return url;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
