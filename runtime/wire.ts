/**
 * The wire between kernel and cell: frames of JSON behind four bytes of length (big endian), over a
 * Unix socket. The kernel treats a cell as hostile: the size is checked before anything is parsed,
 * and each frame must fit its schema.
 */
import { FRAME_BYTES_MAX } from "./core/limits.ts";
import type { Message } from "./core/protocol.ts";

/** What the kernel tells a cell. `worker` numbers are the kernel's; a cell never makes one up. */
export type ToCell =
  | { t: "hello"; kinds: Record<string, string>; spare: Record<string, number> }
  | { t: "start"; worker: number; kind: string; state: string | null }
  | { t: "deliver"; worker: number; envelope: string; message: Message }
  | { t: "stop"; worker: number };

/** A frame that breaks the rules; whoever sent it is not listened to any longer. */
export class WireError extends Error {
  override name = "WireError";
}

/** Reads frames until the other side closes; yields each as parsed JSON. */
export async function* readFrames(source: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let buffer = new Uint8Array(0);
  for await (const chunk of source) {
    buffer = buffer.length === 0 ? chunk as Uint8Array<ArrayBuffer> : concat(buffer, chunk);
    let start = 0;
    while (buffer.length - start >= 4) {
      const length = new DataView(buffer.buffer, buffer.byteOffset + start).getUint32(0);
      if (length > FRAME_BYTES_MAX) {
        throw new WireError(`A frame of ${length} bytes is over the limit of ${FRAME_BYTES_MAX}`);
      }
      if (buffer.length - start - 4 < length) break;
      yield parse(decoder, buffer.subarray(start + 4, start + 4 + length));
      start += 4 + length;
    }
    buffer = buffer.subarray(start);
  }
}

function parse(decoder: TextDecoder, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new WireError("A frame is not JSON in UTF-8");
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Writes frames; all frames of one turn leave in one write. */
export class FrameWriter {
  readonly #connection: { write(bytes: Uint8Array): Promise<number> };
  readonly #onError: (error: Error) => void;
  readonly #encoder = new TextEncoder();
  #queue: Uint8Array[] = [];
  #writing = false;

  constructor(
    connection: { write(bytes: Uint8Array): Promise<number> },
    onError: (error: Error) => void,
  ) {
    this.#connection = connection;
    this.#onError = onError;
  }

  /** @throws {WireError} when the frame is over the limit */
  write(frame: unknown): void {
    const body = this.#encoder.encode(JSON.stringify(frame));
    if (body.length > FRAME_BYTES_MAX) {
      throw new WireError(
        `A frame of ${body.length} bytes is over the limit of ${FRAME_BYTES_MAX}`,
      );
    }
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, body.length);
    this.#queue.push(head, body);
    if (!this.#writing) {
      this.#writing = true;
      queueMicrotask(() => this.#flush());
    }
  }

  async #flush(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const bytes = join(this.#queue);
        this.#queue = [];
        for (let sent = 0; sent < bytes.length;) {
          sent += await this.#connection.write(bytes.subarray(sent));
        }
      }
    } catch (error) {
      this.#onError(error as Error);
    } finally {
      this.#writing = false;
    }
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
