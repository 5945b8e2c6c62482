/**
 * The listening. Where a connection can no longer be accepted, as without a free descriptor, the
 * platform's server gives up for good, though its open streams go on: here it listens again.
 */
import { ConfigError } from "../../runtime/core/config.ts";
import {
  LISTEN_ATTEMPTS_MAX,
  LISTEN_COMPLAINT_MS,
  LISTEN_PAUSE_MS,
} from "../../runtime/core/limits.ts";
import { reasonOf } from "../../runtime/core/reason.ts";

export type Respond = (request: Request) => Response | Promise<Response>;

export class Listening {
  /** Resolves when it is over: null after `shutdown`, else why it cannot be listened any more. */
  readonly gone: Promise<string | null>;
  readonly address: Deno.NetAddr;
  #server: Deno.HttpServer<Deno.NetAddr>;
  #end!: (reason: string | null) => void;
  #stopping = false;
  #complained_at = -Infinity;

  /** @throws {ConfigError} when nobody can listen there */
  constructor(
    where: { readonly host: string; readonly port: number },
    readonly answer: Respond,
    readonly log: (line: string) => void,
  ) {
    this.gone = new Promise((resolve) => this.#end = resolve);
    try {
      this.#server = this.#listen(where.host.replace(/^\[|\]$/g, ""), where.port);
    } catch (error) {
      throw new ConfigError(refusedBy(error, where));
    }
    this.address = this.#server.addr;
    this.#follow();
  }

  get url(): string {
    const { hostname, port } = this.address;
    return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  /** Waits for the requests under way, which streams never end. */
  async shutdown(): Promise<void> {
    this.#stopping = true;
    this.#end(null);
    await this.#server.shutdown();
  }

  async #follow(): Promise<void> {
    for (;;) {
      const cause = await this.#server.finished.then(() => null, (error: Error) => error);
      if (this.#stopping) return;
      this.#complain(cause?.message ?? "the server ended");
      const failure = await this.#again();
      if (this.#stopping) return;
      if (failure) return this.#end(`it cannot listen any more (${failure.message})`);
    }
  }

  /** A crowd is gone, or has become streams, within a few pauses. */
  async #again(): Promise<Error | null> {
    const { hostname, port } = this.address;
    for (let attempt = 1;; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, LISTEN_PAUSE_MS));
      if (this.#stopping) return null;
      try {
        this.#server = this.#listen(hostname, port);
        return null;
      } catch (error) {
        if (attempt >= LISTEN_ATTEMPTS_MAX) {
          return error instanceof Error ? error : new Error(reasonOf(error));
        }
      }
    }
  }

  #listen(hostname: string, port: number): Deno.HttpServer<Deno.NetAddr> {
    return Deno.serve({
      hostname,
      port,
      onListen: () => {},
      onError: (error) => {
        this.log(`A request failed: ${error instanceof Error ? error.stack : error}`);
        return new Response("Something went wrong here", { status: 500 });
      },
      automaticCompression: true,
    }, this.answer);
  }

  #complain(cause: string): void {
    const now = performance.now();
    if (now - this.#complained_at < LISTEN_COMPLAINT_MS) return;
    this.#complained_at = now;
    this.log(`Cannot accept a connection (${cause}): listening again`);
  }
}

function refusedBy(error: unknown, { host, port }: { host: string; port: number }): string {
  return error instanceof Deno.errors.AddrInUse
    ? `Cannot start: port ${port} on ${host} is in use by another program. PORT names another`
    : `Cannot start: cannot listen on ${host}:${port} (${reasonOf(error)})`;
}
