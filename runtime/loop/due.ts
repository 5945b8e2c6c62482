/** When a look is due that reads much: not at each tick, and earlier when something is expected earlier. */
export class Due {
  #at = 0;

  /** The next look is due at `at` (ms) at the latest. */
  by(at: number): void {
    this.#at = Math.min(this.#at, at);
  }

  /**
   * Looks when it is due; the next time after `interval_ms`, or as soon as `by` says meanwhile.
   * @throws {Error} what the look throws; then it is due again at once
   */
  async look(now: number, interval_ms: number, look: () => Promise<void>): Promise<void> {
    if (now < this.#at) return;
    // Before anything is read: what begins meanwhile brings it forward.
    this.#at = now + interval_ms;
    try {
      await look();
    } catch (error) {
      this.#at = now;
      throw error;
    }
  }
}
