/**
 * The wire between kernel and cell: frames over a Unix socket, each a head of two numbers (bytes of
 * the body, worker that it is to or from; big endian) and a body of JSON in UTF-8. A cell passes the
 * bodies of its workers on unread; only the kernel and the worker parse them. The kernel treats a cell
 * as hostile: the size is checked before anything is parsed, and each body must fit its schema.
 */
import { FRAME_BYTES_MAX, READ_BYTES } from "../core/limits.ts";

/** Stands in a frame's head for the cell itself. */
export const CELL = 0;
const HEAD_BYTES = 8;

/**
 * The variable in which a process finds its nonce, which has to be the first frame that it sends: a
 * process of a former kernel does not know it. No argument, for everybody may read those.
 */
export const NONCE = "TROUPE_NONCE";

/** What the kernel tells a cell. `worker` numbers are the kernel's; a cell never makes one up. */
export type ToCell =
  | { t: "hello"; kinds: Record<string, string>; spare: Record<string, number> }
  | { t: "start"; worker: number; kind: string }
  | { t: "stop"; worker: number };

/** A frame that breaks the rules; whoever sent it is not listened to any longer. */
export class WireError extends Error {
  override name = "WireError";
}

/**
 * Hands each frame over as soon as it is whole, until the other side closes. A body is lent: it holds
 * only until the call returns.
 * @param mayRead waited for before each look at the connection
 * @throws {WireError} when a frame is over the limit
 */
export async function readFrames(
  connection: { read(into: Uint8Array): Promise<number | null> },
  onFrame: (worker: number, body: Uint8Array) => void,
  mayRead: () => Promise<void> | void = () => {},
  bytes_max = FRAME_BYTES_MAX,
): Promise<void> {
  let buffer = new Uint8Array(READ_BYTES);
  let filled = 0;
  for (;;) {
    await mayRead();
    const count = await connection.read(buffer.subarray(filled));
    if (count === null) return;
    filled += count;
    const view = new DataView(buffer.buffer);
    let start = 0;
    while (filled - start >= HEAD_BYTES) {
      const length = view.getUint32(start);
      if (length > bytes_max) {
        throw new WireError(`A frame of ${length} bytes is over the limit of ${bytes_max}`);
      }
      const end = start + HEAD_BYTES + length;
      if (filled < end) break;
      onFrame(view.getUint32(start + 4), buffer.subarray(start + HEAD_BYTES, end));
      start = end;
    }
    buffer.copyWithin(0, start, filled);
    filled -= start;
    if (filled === buffer.length) buffer = doubled(buffer);
  }
}

/**
 * Whether the first frame is this text from the process itself. No byte is read beyond it, and a head
 * that tells of another frame is the last thing that is read.
 */
export async function beginsWith(
  connection: { read(into: Uint8Array): Promise<number | null> },
  text: string,
): Promise<boolean> {
  const body = new TextEncoder().encode(text);
  const head = await readWhole(connection, HEAD_BYTES);
  if (head === null) return false;
  const view = new DataView(head.buffer);
  if (view.getUint32(0) !== body.length || view.getUint32(4) !== CELL) return false;
  const said = await readWhole(connection, body.length);
  return said !== null && said.every((byte, index) => byte === body[index]);
}

/** So many bytes, or null when there are fewer. */
async function readWhole(
  connection: { read(into: Uint8Array): Promise<number | null> },
  length: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await connection.read(bytes.subarray(filled));
    if (count === null) return null;
    filled += count;
  }
  return bytes;
}

function doubled(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * buffer.length);
  larger.set(buffer);
  return larger;
}

/** Writes frames; all frames of one turn leave in one write. */
export class FrameWriter {
  readonly #connection: { write(bytes: Uint8Array): Promise<number> };
  readonly #onError: (error: unknown) => void;
  readonly #encoder = new TextEncoder();
  #queue: Uint8Array[] = [];
  #writing = false;

  constructor(
    connection: { write(bytes: Uint8Array): Promise<number> },
    onError: (error: unknown) => void,
    readonly bytes_max = FRAME_BYTES_MAX,
  ) {
    this.#connection = connection;
    this.#onError = onError;
  }

  /** @throws {WireError} when the frame is over the limit */
  write(worker: number, body: string): void {
    const bytes = this.#encoder.encode(body);
    if (bytes.length > this.bytes_max) {
      throw new WireError(
        `A frame of ${bytes.length} bytes is over the limit of ${this.bytes_max}`,
      );
    }
    const head = new Uint8Array(HEAD_BYTES);
    const view = new DataView(head.buffer);
    view.setUint32(0, bytes.length);
    view.setUint32(4, worker);
    this.#queue.push(head, bytes);
    if (!this.#writing) {
      this.#writing = true;
      // Not a microtask: the answers of several workers, each an event of its own, leave together.
      setImmediate(() => this.#flush());
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
      this.#onError(error);
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
