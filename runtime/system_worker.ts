/**
 * The kernel's side of a system Web Worker that answers requests: the gateway and the files actor.
 * One request, one reply, matched by number; when the worker dies, whoever waits is told.
 */
import type { Child } from "./supervisor.ts";

export interface Ask {
  readonly id: number;
  readonly body: unknown;
}

export type Told = { readonly id: number; readonly ok: unknown } | {
  readonly id: number;
  readonly error: string;
};

export class SystemWorker implements Child {
  readonly gone: Promise<string | null>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #ids = 0;
  #end!: (reason: string | null) => void;

  /**
   * @param module the worker's entry
   * @param permissions everything that it may do; what is left out is denied
   */
  constructor(name: string, module: string, permissions: Deno.PermissionOptions) {
    this.#worker = new Worker(module, {
      type: "module",
      name,
      deno: { permissions },
    } as WorkerOptions);
    this.gone = new Promise((resolve) => this.#end = resolve);
    this.gone.then((reason) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`The ${name} worker is gone: ${reason ?? "stopped"}`));
      }
      this.#waiting.clear();
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Told>) => {
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
  ask(body: unknown, signal?: AbortSignal): Promise<unknown> {
    const id = ++this.#ids;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    signal?.addEventListener("abort", () => {
      this.#waiting.delete(id);
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

/** Answers requests inside a system worker; called by its entry. */
export function serve(answer: (body: unknown) => Promise<unknown>): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<Ask>) => void;
    postMessage(told: Told): void;
  };
  scope.onmessage = async ({ data: { id, body } }) => {
    try {
      scope.postMessage({ id, ok: await answer(body) });
    } catch (error) {
      scope.postMessage({ id, error: (error as Error).message });
    }
  };
}
