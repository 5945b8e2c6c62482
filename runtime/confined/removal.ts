/**
 * Removes folders that others may have filled. An empty one is gone at once. Any other is moved aside, so that
 * nobody waits for it; then a program of the system's removes it, in a process that sees nothing else: no depth
 * and no name stops it.
 */
import { REMOVAL_LIMITS, REMOVAL_MS } from "../core/limits.ts";
import { reasonOf } from "../core/reason.ts";
import type { Log } from "../ports.ts";
import { type Confined, type Layers, runConfined } from "./sandbox.ts";

export class Removal {
  #removing: Promise<void> | null = null;
  #more = false;

  /** @param trash a folder of ours alone, on the same disk as what is to go */
  constructor(readonly trash: string, readonly layers: Layers, readonly log: Log) {}

  /** Moves a folder out of the way; it is gone a little later. */
  async remove(folder: string): Promise<void> {
    try {
      await Deno.remove(folder);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      await Deno.rename(folder, `${this.trash}/${crypto.randomUUID()}`);
      this.empty();
    }
  }

  /** Removes what lies aside, also what an earlier kernel left there. */
  empty(): void {
    this.#more = true;
    this.#removing ??= this.#all().finally(() => this.#removing = null);
  }

  /** Resolves when nothing is being removed. */
  async settled(): Promise<void> {
    await this.#removing;
  }

  async #all(): Promise<void> {
    while (this.#more) {
      this.#more = false;
      // One that cannot be looked into is complained of below.
      if (await isEmpty(this.trash).catch(() => false)) continue;
      const ran = await runConfined(this.#program(), this.layers, {
        deadline_ms: REMOVAL_MS,
        signal: new AbortController().signal,
      }).catch((error) => ({ code: 1, stopped: null, output: reasonOf(error) }));
      if (ran.code === 0) continue;
      const why = ran.stopped ?? ran.output.trim().split("\n", 1)[0];
      this.log(`What was to be removed is still in ${this.trash}: ${why}`);
      return;
    }
  }

  #program(): Confined {
    return {
      program: "sh",
      // A folder that forbids to be written would keep what is in it, and one that forbids to be looked
      // into what is in those: each is opened before the next one is looked for.
      args: ["-c", "find . -xdev -type d ! -perm -700 -exec chmod u+rwx {} \\;; rm -rf -- ./*"],
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
      read: [],
      write: [this.trash],
      network: false,
      folder: this.trash,
      limits: REMOVAL_LIMITS,
    };
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  for await (const _ of Deno.readDir(folder)) return false;
  return true;
}
