/**
 * The kernel's side of a system Web Worker that answers requests: the gateway.
 * One request, one reply, matched by number; when the worker dies, whoever waits is told.
 */
import { PIECES_EVERY_MS } from "../core/limits.ts";
import type { Child } from "../ports.ts";
import { reasonOf } from "../core/reason.ts";

/** A request, or that the one with this number is called off. */
export type Ask = { readonly id: number; readonly body: unknown } | {
  readonly id: number;
  readonly abort: true;
};

/** Pieces of answers on their way, each with its number; an answer itself, or why there is none. */
export type Told =
  | { readonly pieces: readonly (readonly [id: number, piece: unknown])[] }
  | { readonly id: number; readonly ok: unknown }
  | { readonly id: number; readonly error: string };

interface Unanswered extends PromiseWithResolvers<unknown> {
  readonly onPiece: (piece: unknown) => void;
}

export class SystemWorker implements Child {
  readonly gone: Promise<string | null>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Unanswered>();
  /** Why it is gone, once it is. */
  #dead: Error | null = null;
  #ids = 0;
  #end!: (reason: string | null) => void;

  /**
   * @param module the worker's entry
   * @param permissions everything that it may do; what is left out is denied
   */
  constructor(name: string, module: string, permissions: Deno.PermissionOptions) {
    // The types leave out what Deno adds.
    const options = { type: "module", name, deno: { permissions } } as WorkerOptions;
    this.#worker = new Worker(module, options);
    this.gone = new Promise((resolve) => this.#end = resolve);
    this.gone.then((reason) => {
      this.#dead = new Error(`The ${name} worker is gone: ${reason ?? "stopped"}`);
      for (const { reject } of this.#waiting.values()) reject(this.#dead);
      this.#waiting.clear();
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Told>) => {
      if ("pieces" in data) {
        for (const [id, piece] of data.pieces) this.#waiting.get(id)?.onPiece(piece);
        return;
      }
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("error" in data) waiting?.reject(new Error(data.error));
      else waiting?.resolve(data.ok);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(event.message);
    };
  }

  /** Sends a request; rejects when the worker says so, dies, or the signal is aborted. */
  ask(
    body: unknown,
    signal?: AbortSignal,
    onPiece: (piece: unknown) => void = () => {},
  ): Promise<unknown> {
    if (this.#dead) return Promise.reject(this.#dead);
    if (signal?.aborted) return Promise.reject(new Error("Called off"));
    const id = ++this.#ids;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { ...waiting, onPiece });
    signal?.addEventListener("abort", () => {
      if (!this.#waiting.delete(id)) return;
      this.#worker.postMessage({ id, abort: true } satisfies Ask);
      waiting.reject(new Error("Called off"));
    }, { once: true });
    this.#worker.postMessage({ id, body } satisfies Ask);
    return waiting.promise;
  }

  stop(): Promise<void> {
    this.#worker.terminate();
    this.#end(null);
    return Promise.resolve();
  }

  /** Ends the worker in the middle of whatever it does, as a crash would. */
  crash(reason: string): void {
    this.#worker.terminate();
    this.#end(reason);
  }
}

/** What an answer may use besides the request. */
export interface Asking {
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Tells a piece of the answer before the whole is there. */
  tell(piece: unknown): void;
}

/** Answers requests inside a system worker; called by its entry. */
export function serve(answer: (body: unknown, asking: Asking) => Promise<unknown>): void {
  // Inside a worker it is; the types know the window's alone.
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<Ask>) => void;
    postMessage(told: Told): void;
  };
  const under_way = new Map<number, AbortController>();
  const pieces = new Pieces((pieces) => scope.postMessage({ pieces }));
  scope.onmessage = async ({ data }) => {
    const { id } = data;
    if ("abort" in data) return under_way.get(id)?.abort();
    const controller = new AbortController();
    under_way.set(id, controller);
    try {
      const { signal } = controller;
      const tell = (piece: unknown) => pieces.add(id, piece);
      const ok = await answer(data.body, { signal, tell });
      pieces.flush();
      scope.postMessage({ id, ok });
    } catch (error) {
      pieces.flush();
      scope.postMessage({ id, error: reasonOf(error) });
    } finally {
      under_way.delete(id);
    }
  };
}

/** Pieces of all answers together: the first after a pause leaves at once, the others soon. */
class Pieces {
  #held: [number, unknown][] = [];
  #resting = false;

  constructor(readonly send: (pieces: [number, unknown][]) => void) {}

  add(id: number, piece: unknown): void {
    this.#held.push([id, piece]);
    if (!this.#resting) this.#rest();
  }

  flush(): void {
    if (this.#held.length === 0) return;
    this.send(this.#held);
    this.#held = [];
  }

  #rest(): void {
    this.flush();
    this.#resting = true;
    setTimeout(() => {
      this.#resting = false;
      if (this.#held.length > 0) this.#rest();
    }, PIECES_EVERY_MS);
  }
}
