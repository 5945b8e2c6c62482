/**
 * What a process prints on its two outputs: so much of it is kept, more is thrown away, and who prints on and
 * on has to wait at a full pipe.
 */
import { CELL_LOG_BYTES_MAX, CELL_LOG_DRAINED_MAX } from "../core/limits.ts";
import { plain } from "./sandbox.ts";

export class Printed {
  /** Resolves when both outputs are closed. */
  readonly closed: Promise<unknown>;
  readonly #onText: (text: string) => void;
  readonly #paused: () => Promise<unknown>;
  readonly #complete = Promise.withResolvers<void>();
  /** Bytes that are still kept, and bytes that are still read before it has to wait. */
  #room = { kept: CELL_LOG_BYTES_MAX, drained: CELL_LOG_DRAINED_MAX };
  #mark: string | null = null;
  /** Outputs that may still print something that counts. */
  #awaited: number;

  /**
   * @param onText gets it without control characters, as far as it is kept
   * @param paused how long one waits that printed too much
   */
  constructor(
    outputs: readonly ReadableStream<Uint8Array>[],
    onText: (text: string) => void,
    paused: () => Promise<unknown>,
  ) {
    this.#onText = onText;
    this.#paused = paused;
    this.#awaited = outputs.length;
    // A pipe that breaks has nothing more to say: the process's own end says why.
    this.closed = Promise.all(outputs.map((output) => this.#hear(output).catch(() => {})));
    this.closed.then(() => this.#complete.resolve());
  }

  /**
   * From now on a mark ends each output: neither it nor what follows is kept. Resolves when both have ended
   * with it, or nothing more of them is kept.
   * @param mark plain text that nobody prints by chance
   */
  until(mark: string): Promise<void> {
    this.#mark = mark;
    return this.#complete.promise;
  }

  async #hear(output: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let held = "";
    let ended = false;
    for await (const chunk of output) {
      const kept = chunk.subarray(0, ended ? 0 : Math.max(0, this.#room.kept));
      held += plain(decoder.decode(kept, { stream: true }));
      const { text, rest, found } = splitAt(held, this.#mark);
      held = rest;
      if (text !== "") this.#onText(text);
      this.#room.kept -= kept.length;
      if (found) {
        ended = true;
        this.#awaited--;
      }
      if (this.#awaited === 0 || this.#room.kept <= 0) this.#complete.resolve();
      this.#room.drained -= chunk.length;
      if (this.#room.drained >= 0) continue;
      await this.#paused();
      this.#room.drained = CELL_LOG_DRAINED_MAX;
    }
    if (held !== "") this.#onText(held);
    if (!ended && --this.#awaited === 0) this.#complete.resolve();
  }
}

/** A text up to a mark in it; what may be a mark's beginning is held back. */
function splitAt(
  text: string,
  mark: string | null,
): { readonly text: string; readonly rest: string; readonly found: boolean } {
  if (mark === null) return { text, rest: "", found: false };
  const at = text.indexOf(mark);
  if (at >= 0) return { text: text.slice(0, at), rest: "", found: true };
  let begun = Math.min(text.length, mark.length - 1);
  while (begun > 0 && !mark.startsWith(text.slice(text.length - begun))) begun--;
  const until = text.length - begun;
  return { text: text.slice(0, until), rest: text.slice(until), found: false };
}
