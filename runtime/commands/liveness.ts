/** Whether the database still takes a write, seen by writing: one write answers all who ask meanwhile. */
import { showLife } from "../../db/liveness.ts";
import { LIVENESS_LATE_MS, LIVENESS_MS } from "../core/limits.ts";
import type { Clock } from "../ports.ts";
import { commitAndTell, type Committing } from "./commit.ts";

export class Liveness {
  /** What the last write showed; null when it was made. */
  #answer: Promise<string | null> = Promise.resolve(null);
  #state: { readonly writing: true } | { readonly writing: false; readonly at: number } = {
    writing: false,
    at: -Infinity,
  };

  /** @param committing to the present store: it is open only once the supervisor has started it */
  constructor(readonly committing: () => Committing, readonly clock: Clock) {}

  /** Resolves with null when something was written within the last second, else with why not. */
  prove(): Promise<string | null> {
    const age_ms = this.#state.writing ? 0 : this.clock.now() - this.#state.at;
    // A clock that was set back makes what was written no younger.
    if (!this.#state.writing && (age_ms >= LIVENESS_MS || age_ms < 0)) this.#answer = this.#write();
    return this.#answer;
  }

  #write(): Promise<string | null> {
    this.#state = { writing: true };
    let callOff = () => {};
    const late = new Promise<string>((resolve) => {
      callOff = this.clock.after(LIVENESS_LATE_MS, () => {
        resolve(`the database has not taken a write for ${LIVENESS_LATE_MS / 1000} s`);
      });
    });
    const written = this.#commit().finally(() => {
      callOff();
      this.#state = { writing: false, at: this.clock.now() };
    });
    return Promise.race([written, late]);
  }

  async #commit(): Promise<string | null> {
    const unit = [showLife(this.clock.now())];
    const result = await commitAndTell(this.committing(), unit, () => ({}));
    return result.ok ? null : result.reason;
  }
}
