/**
 * The lane to one model: who may ask it next. Calls wait here for the provider's limits and for its
 * recovery; trees take turns by their priority, so that none waits for all calls of another.
 */
import {
  atCall,
  atFailure,
  atNothing,
  type Breaker,
  breakerWait,
  CLOSED,
} from "../core/model/breaker.ts";
import { MODEL_QUEUE_MAX } from "../core/limits.ts";
import type { ModelCall } from "../core/model/messages.ts";
import { Schedule } from "../core/schedule.ts";
import { type RateLimits, Throttle } from "../core/model/throttle.ts";
import type { LaneView } from "../core/model/lane.ts";
import type { Clock } from "../ports.ts";

/** A call that has begun; exactly one of its three ends must be told. */
export interface Passage {
  /** The provider's limits, as soon as they are known. */
  heard(limits: RateLimits): void;
  succeeded(): void;
  /** @param pause_ms what the provider asks for; @param fault in words, when it counts as its failure */
  failed(pause_ms: number | null, fault: string | null): void;
  /** It ended without saying anything about the provider. */
  abandoned(): void;
}

interface Queued {
  readonly call: ModelCall;
  readonly pass: (passage: Passage) => void;
  readonly onWait: (why: string) => void;
}

export class Lane {
  readonly #throttle: Throttle;
  readonly #schedule = new Schedule();
  readonly #waiting = new Map<string, Queued>();
  #breaker: Breaker = CLOSED;
  /** Whose turn it is, until it may begin: nobody overtakes. */
  #next: string | null = null;
  #ids = 0;
  #callOff = () => {};

  /** @param calls_max calls at once; as many as the limits allow when left out */
  constructor(readonly model: string, readonly clock: Clock, calls_max?: number) {
    this.#throttle = new Throttle(calls_max);
  }

  view(): LaneView {
    const now = this.clock.now();
    return {
      model: this.model,
      breaker: this.#breaker,
      under_way: this.#throttle.under_way,
      waiting: this.#waiting.size,
      paused_until: this.#throttle.paused_until > now ? this.#throttle.paused_until : null,
      limits: this.#throttle.levels(now),
    };
  }

  /**
   * Waits for a call's turn.
   * @param onWait told why, when it does not begin at once
   * @throws {Error} when the signal is aborted meanwhile, or too many wait
   */
  enter(call: ModelCall, signal: AbortSignal, onWait: (why: string) => void): Promise<Passage> {
    if (this.#waiting.size >= MODEL_QUEUE_MAX) {
      throw new Error(`${MODEL_QUEUE_MAX} calls wait for ${this.model}, the limit`);
    }
    const id = String(++this.#ids);
    const { tree_id, priority } = call;
    return new Promise((resolve, reject) => {
      const pass = (passage: Passage) => {
        signal.removeEventListener("abort", leave);
        resolve(passage);
      };
      const leave = () => {
        this.#waiting.delete(id);
        this.#schedule.remove(id);
        if (this.#next === id) this.#next = null;
        reject(signal.reason);
        this.#pump();
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.set(id, { call, pass, onWait });
      this.#schedule.add({ address: id, tree_id, priority, urgent: false });
      this.#pump();
      if (this.#waiting.has(id)) onWait(this.#why());
    });
  }

  #pump(): void {
    this.#callOff();
    for (;;) {
      this.#next ??= this.#schedule.take()?.address ?? null;
      if (this.#next === null) return;
      const { call, pass } = this.#waiting.get(this.#next)!;
      const now = this.clock.now();
      const wait = Math.max(
        breakerWait(this.#breaker, now),
        this.#throttle.wait(call.input_tokens, now),
      );
      if (wait > 0) {
        // Until then, or until a call that is under way ends.
        if (wait !== Infinity) this.#callOff = this.clock.after(wait, () => this.#pump());
        return;
      }
      this.#waiting.delete(this.#next);
      this.#next = null;
      pass(this.#begin(call.input_tokens));
    }
  }

  #begin(input_tokens: number): Passage {
    this.#breaker = atCall(this.#breaker);
    this.#throttle.begin(input_tokens, this.clock.now());
    let unheard = true;
    const heard = (limits: RateLimits) => {
      if (!unheard) return;
      unheard = false;
      this.#throttle.heard(input_tokens, limits, this.clock.now());
      this.#pump();
    };
    const end = (breaker: Breaker) => {
      heard({});
      this.#throttle.end();
      const before = this.#breaker;
      this.#breaker = breaker;
      if (breaker.state === "open" && before.state !== "open") this.#tellWaiting();
      this.#pump();
    };
    return {
      heard,
      succeeded: () => end(CLOSED),
      failed: (pause_ms, fault) => {
        const now = this.clock.now();
        if (pause_ms !== null) this.#throttle.pause(pause_ms, now);
        end(fault === null ? atNothing(this.#breaker, now) : atFailure(this.#breaker, fault, now));
      },
      abandoned: () => end(atNothing(this.#breaker, this.clock.now())),
    };
  }

  #tellWaiting(): void {
    for (const { onWait } of this.#waiting.values()) onWait(this.#why());
  }

  #why(): string {
    if (this.#breaker.state !== "closed") {
      return `${this.model} is left alone for a while: ${this.#breaker.reason}`;
    }
    return `The provider's limits for ${this.model} are used up, or others are before`;
  }
}
