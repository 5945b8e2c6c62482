/** Listens to a reply on its way: counts what it uses, and says that its task moves. */
import { progressOf } from "../commands/account.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import { MODEL_PROGRESS_MS, STUCK_LOOKS, TOKEN_BYTES } from "../core/limits.ts";
import type { Piece, Usage } from "../core/model/messages.ts";
import type { Clock } from "../ports.ts";

/** Counts what a call has used that does not come to its end. */
export class Meter {
  model: string;
  #usage: Usage | null = null;
  #characters = 0;

  constructor(model: string) {
    this.model = model;
  }

  take(piece: Piece): void {
    if (piece.type === "delta") this.#characters += piece.text.length;
    if (piece.type !== "usage") return;
    this.model = piece.model;
    this.#usage = piece.usage;
  }

  /**
   * Null when the provider has not begun to answer. Tokens out are counted at the end only: until then
   * the text tells about how many.
   */
  used(): Usage | null {
    if (!this.#usage) return null;
    const said = Math.ceil(this.#characters / TOKEN_BYTES);
    return { ...this.#usage, output_tokens: Math.max(this.#usage.output_tokens, said) };
  }
}

/** While the model is heard, or others are waited for, its task is not stuck. */
export class Progress {
  readonly #clock: Clock;
  readonly #touch: () => void;
  readonly #every: number;
  #next: number;
  #callOff = () => {};

  constructor(
    ports: Committing & { readonly clock: Clock },
    { task_id, timeout_seconds }: { readonly task_id: string; readonly timeout_seconds: number },
  ) {
    this.#clock = ports.clock;
    this.#every = Math.min(MODEL_PROGRESS_MS, timeout_seconds * 1000 / STUCK_LOOKS);
    this.#next = this.#clock.now() + this.#every;
    // Missed once, it is said again soon. No page shows it.
    this.#touch = () =>
      void commitAndTell(ports, progressOf(task_id, this.#clock.now()), () => ({}));
  }

  take(piece: Piece): void {
    this.#callOff();
    if (piece.type === "waiting") this.#wait();
    const now = this.#clock.now();
    if (now < this.#next) return;
    this.#next = now + this.#every;
    this.#touch();
  }

  end(): void {
    this.#callOff();
  }

  #wait(): void {
    this.#callOff = this.#clock.after(this.#every, () => {
      this.#touch();
      this.#wait();
    });
  }
}
