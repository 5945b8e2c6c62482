/** Waits for conditions, never for a time: a test that waits says what it waits for. */
import { slowness } from "./machine.ts";

/** Between two looks at a condition; less often at what takes long, for a look costs, too. */
const LOOK_MS = 20;
const LONG_LOOK_MS = 50;
const LONG_MS = 1_000;
/** Between two looks at the machine: what is there sooner than this costs none. */
const WEIGH_MS = 1_000;

/**
 * Resolves with the first value of `look` that is neither null, undefined nor false.
 * @param what the condition in words, for the error
 * @param deadline_ms of what the machine gives: on a busy one it is as much longer
 * @throws {Error} when it did not come true within `deadline_ms`
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  deadline_ms = 30_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const given = new GivenTime(deadline_ms);
  const began = performance.now();
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) {
      return found as NonNullable<Exclude<T, false>>;
    }
    if (given.over()) throw new Error(`${deadline_ms} ms went by without ${what}`);
    const pause = performance.now() - began < LONG_MS ? LOOK_MS : LONG_LOOK_MS;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Calls `late` once so much time was given, unless what it returns is called before. */
export function onceGiven(deadline_ms: number, late: () => void): () => void {
  const given = new GivenTime(deadline_ms);
  const looking = setInterval(() => {
    if (!given.over()) return;
    clearInterval(looking);
    late();
  }, LOOK_MS);
  return () => clearInterval(looking);
}

/** Time that counts only as far as the machine gave it. */
class GivenTime {
  #left_ms: number;
  #weighed_at = performance.now();

  constructor(ms: number) {
    this.#left_ms = ms;
  }

  /** To be asked again and again. */
  over(): boolean {
    const passed_ms = performance.now() - this.#weighed_at;
    if (passed_ms < Math.min(WEIGH_MS, this.#left_ms)) return false;
    this.#left_ms -= passed_ms / slowness();
    this.#weighed_at = performance.now();
    return this.#left_ms <= 0;
  }
}
