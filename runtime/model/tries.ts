/** Carries out what is decided about the attempts of one effect's model calls: waits, and tries again. */
import type { LastingFailure, ModelFailure } from "../core/model/messages.ts";
import type { Patience } from "../core/model/patience.ts";
import { afterAttempt, deadlineOf, type Tried } from "../core/model/retry.ts";
import { type Clock, pause, type Random } from "../ports.ts";

interface TryingPorts {
  readonly clock: Clock;
  readonly random: Random;
}

export class Tries {
  readonly #ports: TryingPorts;
  readonly #patience: Patience;
  #tried: Tried;

  constructor(ports: TryingPorts, patience: Patience) {
    this.#ports = ports;
    this.#patience = patience;
    this.#tried = { attempts: 0, begun_at: ports.clock.now(), reason: null };
  }

  /** Of all attempts together, in ms since 1970. */
  get deadline(): number {
    return deadlineOf(this.#tried, this.#patience);
  }

  /**
   * Makes a call until it is answered, or until trying again is of no use.
   * @param onFailure heard out before it is tried again
   * @throws what `attempt` throws, and the signal's reason
   */
  async make<Answer extends object>(
    attempt: () => Promise<Answer | ModelFailure>,
    onFailure: (failure: ModelFailure) => Promise<void>,
    signal: AbortSignal,
  ): Promise<Answer | LastingFailure> {
    const { clock, random } = this.#ports;
    for (;;) {
      const answer = await attempt();
      if (!("failed" in answer)) return answer;
      const next = afterAttempt(this.#tried, answer, this.#patience, clock.now(), random.next());
      if (next.verdict === "give up") return next.failure;
      this.#tried = next.tried;
      await onFailure(answer);
      if (next.wait_ms > 0) await pause(clock, next.wait_ms, signal);
    }
  }
}
