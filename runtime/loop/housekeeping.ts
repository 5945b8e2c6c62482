/** Keeps the database small and whole: clears old rows away, and writes the log back when it is quiet. */
import { clearing } from "../../db/housekeeping.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import { HOUSEKEEPING_EVERY_MS, HOUSEKEEPING_ROWS_MAX, STORE_IDLE_MS } from "../core/limits.ts";
import type { Child, Clock } from "../ports.ts";

interface HousekeepingPorts extends Committing {
  readonly clock: Clock;
}

export class Housekeeping implements Child {
  readonly gone: Promise<string | null>;
  readonly #ports: HousekeepingPorts;
  readonly #waits = new Map<() => Promise<number>, () => void>();
  #end!: (reason: string | null) => void;
  #stopped = false;

  constructor(ports: HousekeepingPorts) {
    this.#ports = ports;
    this.gone = new Promise((resolve) => this.#end = resolve);
    this.#again(this.#clear, HOUSEKEEPING_EVERY_MS);
    this.#again(this.#writeBack, STORE_IDLE_MS);
  }

  stop(): Promise<void> {
    this.#stopped = true;
    for (const callOff of this.#waits.values()) callOff();
    this.#end(null);
    return Promise.resolve();
  }

  #again(chore: () => Promise<number>, ms: number): void {
    if (this.#stopped) return;
    this.#waits.set(
      chore,
      this.#ports.clock.after(ms, () => {
        chore().then((next) => this.#again(chore, next), (error) => this.#end(error.message));
      }),
    );
  }

  /** A full round is followed by the next one at once, with room for others' commits in between. */
  readonly #clear = async (): Promise<number> => {
    const unit = clearing(this.#ports.clock.now());
    const result = await commitAndTell(this.#ports, unit, () => ({}));
    const full = result.ok &&
      unit.some((each) => result.rows.of(each).length >= HOUSEKEEPING_ROWS_MAX);
    return full ? STORE_IDLE_MS : HOUSEKEEPING_EVERY_MS;
  };

  readonly #writeBack = async (): Promise<number> => {
    await this.#ports.store.writeBackWhenIdle();
    return STORE_IDLE_MS;
  };
}
