/**
 * How a cell hands a message to a worker of its own: through memory that the two share. The worker
 * sleeps in `Atomics.wait`, so that handing over costs a third of a `postMessage`, and never returns
 * to its event loop: whatever an actor would put off until later does not happen.
 */
import { FRAME_BYTES_MAX } from "../core/limits.ts";

// What the head says when it is not the length of a message.
const EMPTY = 0;
const PING = -1;
const STOP = -2;

const HEAD_BYTES = 4;

/** Room for one message; a page of it that no message ever reached costs no memory. */
export class Inbox {
  readonly #head: Int32Array;
  readonly #body: Uint8Array;

  /** @param memory what the other side has as `memory` */
  constructor(readonly memory = new SharedArrayBuffer(HEAD_BYTES + FRAME_BYTES_MAX)) {
    this.#head = new Int32Array(memory, 0, 1);
    this.#body = new Uint8Array(memory, HEAD_BYTES);
  }

  /** Hands over a message, at most `FRAME_BYTES_MAX` long; the one before must have been answered. */
  put(message: Uint8Array): void {
    this.#body.set(message);
    this.#wake(message.length);
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.#wake(PING);
  }

  /** Sends the worker back to its event loop: `terminate()` does not end one that sleeps. */
  stop(): void {
    this.#wake(STOP);
  }

  /** The worker's side: each message, null for a ping; sleeps in between, ends when stopped. */
  *messages(): Generator<string | null> {
    const decoder = new TextDecoder();
    for (;;) {
      Atomics.wait(this.#head, 0, EMPTY);
      const head = Atomics.exchange(this.#head, 0, EMPTY);
      if (head === STOP) return;
      // Woken for nothing: what the notification was for had been taken before this sleep began.
      if (head === EMPTY) continue;
      yield head === PING ? null : decoder.decode(this.#body.subarray(0, head));
    }
  }

  #wake(head: number): void {
    Atomics.store(this.#head, 0, head);
    Atomics.notify(this.#head, 0);
  }
}
