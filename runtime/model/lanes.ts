/**
 * Carries one attempt of a call to its provider: waits for its turn in the model's lane, asks, and tells
 * the lane how it went. Whether a failed one is made again is decided by who accounts for it.
 */
import type {
  ModelCall,
  ModelFailure,
  ModelReply,
  Piece,
  Provider,
} from "../core/model/messages.ts";
import type { Patience } from "../core/model/patience.ts";
import type { LaneView } from "../core/model/lane.ts";
import type { Clock } from "../ports.ts";
import { Lane, type Passage } from "./lane.ts";
import { type Attempt, ProviderFault } from "./provider.ts";

export class Lanes {
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
    const left_ms = Math.max(0, call.deadline - this.clock.now());
    const callOff = this.clock.after(left_ms, () => late.abort(new Error("too late")));
    const either = AbortSignal.any([signal, late.signal]);
    const lane = this.#lane(this.models[call.request.model]);
    let waiting = true;
    try {
      const passage = await lane.enter(call, either, (why) => onPiece({ type: "waiting", why }));
      waiting = false;
      onPiece({ type: "asked" });
      return await this.#pass(passage, call, either, onPiece);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!late.signal.aborted) throw error;
      const failed = `No answer within ${this.patience.deadline_ms / 1000} s`;
      return { failed, concerns: "late", waiting };
    } finally {
      callOff();
    }
  }

  async #pass(
    passage: Passage,
    { request }: ModelCall,
    signal: AbortSignal,
    onPiece: (piece: Piece) => void,
  ): Promise<ModelReply | ModelFailure> {
    try {
      const reply = await this.attempt(request, signal, { onLimits: passage.heard, onPiece });
      passage.succeeded();
      return reply;
    } catch (error) {
      if (signal.aborted || !(error instanceof ProviderFault)) {
        passage.abandoned();
        throw error;
      }
      const { message: failed, concerns, limited, retry_after_ms } = error;
      // Used-up limits and wrong requests are no failure of the provider's.
      passage.failed(retry_after_ms, concerns === "again" && !limited ? failed : null);
      if (concerns !== "again") return { failed, concerns };
      return { failed, concerns, limited, retry_after_ms };
    }
  }

  #lane(model: string): Lane {
    const lane = this.#lanes.get(model) ?? new Lane(model, this.clock, this.calls_max[model]);
    this.#lanes.set(model, lane);
    return lane;
  }
}
