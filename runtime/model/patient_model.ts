/**
 * Carries one call of a model through what its provider does to it: waits in the lane, tries again
 * after faults that pass, and gives up when a deadline is over or trying again would be of no use.
 */
import { MODEL_RETRY_FIRST_MS } from "../core/limits.ts";
import type {
  ModelCall,
  ModelFailure,
  ModelReply,
  Piece,
  Provider,
} from "../core/model/messages.ts";
import { type Patience, pauseAfter } from "../core/model/patience.ts";
import { type Clock, pause } from "../ports.ts";
import { Lane, type Passage } from "./lane.ts";
import type { LaneView } from "../ports.ts";
import { type Attempt, Fault } from "./provider.ts";

export class PatientModel {
  readonly #lanes = new Map<string, Lane>();

  constructor(
    readonly attempt: Attempt,
    readonly models: Provider["models"],
    readonly patience: Patience,
    readonly clock: Clock,
    /** Bounds of calls at once, by the model's name. */
    readonly calls_max: Readonly<Record<string, number | undefined>> = {},
  ) {}

  /** Every lane that was ever asked for, by its model's name. */
  views(): LaneView[] {
    return [...this.#lanes.values()].map((lane) => lane.view());
  }

  /** @throws the signal's reason when the call is called off */
  async ask(
    call: ModelCall,
    signal: AbortSignal,
    onPiece: (piece: Piece) => void,
  ): Promise<ModelReply | ModelFailure> {
    const late = new AbortController();
    const { deadline_ms } = this.patience;
    const deadline = this.clock.now() + deadline_ms;
    const callOff = this.clock.after(deadline_ms, () => late.abort(new Error("too late")));
    const either = AbortSignal.any([signal, late.signal]);
    const lane = this.#lane(this.models[call.request.model]);
    let last: Fault | null = null;
    let attempts = 0;
    let asking = false;
    try {
      for (;;) {
        const passage = await lane.enter(call, either, (why) => onPiece({ type: "waiting", why }));
        let begun = false;
        asking = true;
        const listening = {
          onLimits: passage.heard,
          onPiece: (piece: Piece) => {
            begun ||= piece.type === "begun";
            onPiece(piece);
          },
        };
        try {
          const reply = await this.attempt(call.request, either, listening);
          passage.succeeded();
          return reply;
        } catch (error) {
          if (either.aborted) {
            passage.abandoned();
            throw error;
          }
          const fault = error as Fault;
          tell(passage, fault);
          if (fault.concerns !== "again" || begun) {
            return { failed: fault.message, concerns: fault.concerns };
          }
          last = fault;
          if (!isPatientlyLimited(fault)) attempts++;
          const again_at = this.clock.now() + (fault.retry_after_ms ?? 0);
          if (attempts >= this.patience.attempts_max || again_at > deadline) {
            return { failed: fault.message, concerns: "task" };
          }
          onPiece({ type: "waiting", why: fault.message });
          await pause(this.clock, this.#pauseFor(fault, attempts), either);
        }
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!late.signal.aborted) throw error;
      const said = last ? `: ${last.message}` : asking ? "" : ", waiting for its turn";
      return { failed: `No answer within ${deadline_ms / 1000} s${said}`, concerns: "task" };
    } finally {
      callOff();
    }
  }

  /** What the provider asks for, or else longer each time. */
  #pauseFor({ retry_after_ms }: Fault, attempts: number): number {
    // The lane keeps every call back for so long; nothing is left to wait for here.
    return retry_after_ms !== null ? 0 : pauseAfter(this.patience, attempts, Math.random());
  }

  #lane(model: string): Lane {
    const lane = this.#lanes.get(model) ?? new Lane(model, this.clock, this.calls_max[model]);
    this.#lanes.set(model, lane);
    return lane;
  }
}

/** What a fault says about the provider: used-up limits and wrong requests are no failure of its. */
function tell(passage: Passage, { concerns, limited, message, retry_after_ms }: Fault): void {
  const its_own = concerns === "again" && !limited;
  passage.failed(retry_after_ms, its_own ? message : null);
}

/** The provider says when its limits allow more: waiting for that in the lane is no attempt. */
function isPatientlyLimited({ limited, retry_after_ms }: Fault): boolean {
  return limited && retry_after_ms !== null && retry_after_ms >= MODEL_RETRY_FIRST_MS;
}
