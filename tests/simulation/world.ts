/**
 * A world in which one thing happens at a time, in an order that a seed draws. Whatever a kernel waits for
 * is offered here as a happening; time goes by between two of them, and only then.
 */
import { monotonicFactory } from "ulid";
import type { Clock, Ids, Random } from "../../runtime/ports.ts";
import { mulberry32 } from "../support/random.ts";

interface Happening {
  readonly what: string;
  /** Not before then; ms since 1970. */
  readonly at: number;
  readonly happen: () => void;
}

/** How long what is due may be kept waiting: as on a busy machine. */
const KEPT_WAITING_MS = 2_000;
/** How late the clock may be when nothing else happens. */
const OVERSLEPT_MS = 5_000;

export class World implements Random {
  /** What happened, one line each. */
  readonly trace: string[] = [];
  /** What must never be, and was. */
  readonly wrongs: string[] = [];
  /** Kernels so far; what one of them waits for dies with it. */
  life = 0;
  now = Date.parse("2026-01-01T00:00:00Z");
  readonly next: () => number;
  readonly #ready = new Set<Happening>();
  readonly #timers = new Set<Happening>();
  /** What goes on whatever becomes of the kernel. */
  readonly #outside = new Set<Happening>();

  constructor(seed: number) {
    this.next = mulberry32(seed);
  }

  /** True in so many of a hundred cases. */
  chance(percent: number): boolean {
    return this.next() * 100 < percent;
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)];
  }

  /** Something that the kernel waits for; it happens after `ms` at the earliest. Gives what calls it off. */
  offer(what: string, ms: number, happen: () => void): () => void {
    return this.#add(this.#ready, what, ms, happen);
  }

  /** Something that happens whether a kernel runs or not. */
  outside(what: string, ms: number, happen: () => void): void {
    this.#add(this.#outside, what, ms, happen);
  }

  get clock(): Clock {
    const { life } = this;
    return {
      now: () => this.now,
      after: (ms, call) =>
        life === this.life ? this.#add(this.#timers, "clock", ms, call) : () => {},
    };
  }

  get ids(): Ids {
    const next = monotonicFactory(this.next);
    return { next: () => next(this.now) };
  }

  /** Timers that wait: none once a kernel has stopped. */
  get waits(): number {
    return this.#timers.size;
  }

  /** Ends whatever kernel runs, as a power cut would: nothing of it goes on. */
  kill(why: string): void {
    this.trace.push(`${this.#time()} killed: ${why}`);
    this.life++;
    this.#ready.clear();
    this.#timers.clear();
  }

  wrong(what: string): void {
    this.wrongs.push(what);
    this.trace.push(`${this.#time()} WRONG: ${what}`);
  }

  /** One thing happens, and all that follows from it at once. */
  async step(): Promise<void> {
    const happening = this.#draw();
    if (!happening) throw new Error("Nothing is left to happen");
    for (const all of [this.#ready, this.#timers, this.#outside]) all.delete(happening);
    this.now = Math.max(this.now, happening.at);
    this.trace.push(`${this.#time()} ${happening.what}`);
    happening.happen();
    await settled();
  }

  #draw(): Happening | undefined {
    const offered = [...this.#ready, ...this.#outside];
    const due = offered.filter(({ at }) => at <= this.now);
    // Timers go off in their order, whatever else happens in between.
    const timer = first(this.#timers);
    if (timer && timer.at <= this.now) due.push(timer);
    const later = first(offered.filter(({ at }) => at > this.now));
    if (due.length > 0) {
      // What is due may be kept waiting, as on a busy machine.
      const overtakes = later && later.at - this.now <= KEPT_WAITING_MS && this.chance(5);
      return overtakes ? later : this.pick(due);
    }
    if (!timer || later && later.at < timer.at) return later;
    const late = timer.at + this.between(0, OVERSLEPT_MS);
    this.now = Math.min(late, later?.at ?? Infinity);
    return timer;
  }

  #add(to: Set<Happening>, what: string, ms: number, happen: () => void): () => void {
    // A clock tells whole milliseconds.
    const happening = { what, at: this.now + Math.ceil(ms), happen };
    to.add(happening);
    return () => void to.delete(happening);
  }

  #time(): string {
    return ((this.now - Date.parse("2026-01-01T00:00:00Z")) / 1000).toFixed(3);
  }
}

/** Resolves once all that follows from what just happened has come to rest. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function first(happenings: Iterable<Happening>): Happening | undefined {
  let earliest: Happening | undefined;
  for (const one of happenings) if (!earliest || one.at < earliest.at) earliest = one;
  return earliest;
}
