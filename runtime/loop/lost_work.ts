/**
 * Wakes who has something to do that no event announced: a retry that is due, what a dead node held. It
 * turns the pages of a list in the order of the schedule: all of them at its first look, then one a look.
 */
import { actorsToRun, type PageEnd } from "../../db/actors.ts";
import type { Store } from "../../db/store.ts";
import { LOOK_ROWS_MAX } from "../core/limits.ts";
import type { Clock, Loop } from "../ports.ts";

export interface LostWorkPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly loop: Loop;
}

export class LostWorkLook {
  readonly #ports: LostWorkPorts;
  #first = true;
  /** Those of the pages before are known to the scheduler: they hide nobody behind them. */
  #end: PageEnd | null = null;

  constructor(ports: LostWorkPorts) {
    this.#ports = ports;
  }

  async look(): Promise<void> {
    const { store, clock, loop } = this.#ports;
    do {
      const { runnables, end } = await actorsToRun(
        store.read,
        clock.now(),
        this.#end,
        LOOK_ROWS_MAX,
      );
      for (const runnable of runnables) loop.wake(runnable);
      this.#end = end;
    } while (this.#first && this.#end !== null);
    this.#first = false;
  }
}
