/** The places of streams, of pages and of the API together: each holds a descriptor of the process. */
import { STREAM_RETRY_SECONDS } from "../../runtime/core/limits.ts";
import { Problem } from "./problem.ts";

export class Places {
  #taken = 0;

  constructor(readonly max: number) {}

  get taken(): number {
    return this.#taken;
  }

  /** Gives what gives the place back, or null when all are taken. */
  take(): (() => void) | null {
    if (this.#taken >= this.max) return null;
    this.#taken++;
    let given_back = false;
    return () => {
      if (!given_back) this.#taken--;
      given_back = true;
    };
  }
}

/** What is said to who gets no place. */
export function noPlace(places: Places): Problem {
  const detail = `${places.max} streams are open, the limit`;
  return new Problem(503, "Service unavailable", detail, [], STREAM_RETRY_SECONDS);
}
