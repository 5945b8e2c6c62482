/**
 * Looks at the clock for everybody. It knows when to look; what is looked for is a file each: timers, lost
 * work, the ladder for stuck tasks, and trees whose time is used up.
 */
import { StoreError } from "../../db/store.ts";
import { POLL_MS } from "../core/limits.ts";
import type { Child, Clock, Log } from "../ports.ts";
import { LadderLook, type LadderPorts } from "./ladder.ts";
import { LostWorkLook } from "./lost_work.ts";
import { fireTimers } from "./timers.ts";
import { WallTimeLook, type WallTimePorts } from "./wall_time.ts";

export class Watch implements Child {
  readonly gone: Promise<string | null>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #ladder: LadderLook;
  readonly #lost_work: LostWorkLook;
  readonly #wall_time: WallTimeLook;
  readonly #looks: readonly (() => Promise<void>)[];
  #end!: (reason: string | null) => void;
  #callOff = () => {};
  #stopped = false;
  #looking: Promise<void> = Promise.resolve();

  constructor({ log, ...ports }: LadderPorts & WallTimePorts & { readonly log: Log }) {
    this.#clock = ports.clock;
    this.#log = log;
    this.#ladder = new LadderLook(ports);
    this.#lost_work = new LostWorkLook(ports);
    this.#wall_time = new WallTimeLook(ports);
    this.#looks = [
      () => fireTimers(ports),
      () => this.#lost_work.look(),
      () => this.#wall_time.look(),
      () => this.#ladder.look(),
    ];
    this.gone = new Promise((resolve) => this.#end = resolve);
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#callOff();
    await this.#looking;
    this.#end(null);
  }

  /** A tree has begun: looks often enough for its tasks' timeout, and when its time is used up. */
  expect(timeout_ms: number, wall_ms = Infinity): void {
    this.#ladder.expect(timeout_ms);
    this.#wall_time.expect(wall_ms);
  }

  #schedule(ms: number): void {
    this.#callOff = this.#clock.after(ms, () => {
      this.#looking = this.#look().then(
        () => {
          if (!this.#stopped) this.#schedule(POLL_MS);
        },
        // The supervisor restarts a watch that failed; without it nothing would be looked at.
        (error: Error) => this.#end(error.message),
      );
    });
  }

  /** All of them, whatever becomes of one: what the database refused is looked for again soon. */
  async #look(): Promise<void> {
    const bugs: unknown[] = [];
    for (const look of this.#looks) {
      await look().catch((error) => {
        if (error instanceof StoreError) this.#log(`Cannot look: ${error.message}`);
        else bugs.push(error);
      });
    }
    if (bugs.length > 0) throw bugs[0];
  }
}
