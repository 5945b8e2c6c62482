/** A clock that a test moves by hand. */
import type { Clock } from "../../runtime/ports.ts";

interface Timer {
  readonly at: number;
  readonly call: () => void;
}

export class HandClock implements Clock {
  readonly #timers = new Set<Timer>();
  #now: number;

  /** @param now where parts that go by the machine's clock are told moments of this one */
  constructor(now = Date.parse("2026-01-01T00:00:00Z")) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** ms until each thing that waits, the next one first. */
  get waits(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Lets time go by; whatever is due on the way happens in its order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.call();
    }
    this.#now = end;
  }
}
