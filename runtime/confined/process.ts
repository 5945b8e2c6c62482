/**
 * A subprocess that hosts code which the kernel does not trust: its own process group and its own
 * socket, where it has to name the nonce that it was given. What it sends and prints is bounded here.
 */
import {
  CALLERS_MAX,
  CELL_END_GRACE_MS,
  CELL_START_MS,
  CREDIT_EVERY_MS,
  CREDIT_FRAMES,
  FRAME_BYTES_MAX,
} from "../core/limits.ts";
import type { Clock, HostProcess } from "../ports.ts";
import { Printed } from "./printed.ts";
import { confine, type Confined, killGroup, type Layers } from "./sandbox.ts";
import { beginsWith, FrameWriter, NONCE, readFrames } from "./wire.ts";
import { reasonOf } from "../core/reason.ts";

export class CellProcess implements HostProcess {
  /** Resolves with why the process ended. */
  readonly gone: Promise<string | null>;
  /** A body is lent: it holds only until the call returns. */
  onFrame: (worker: number, body: Uint8Array) => void = () => {};
  /** What it prints, without control characters, as far as it is kept. */
  onOutput: (text: string) => void = () => {};
  /** True once it is being ended. */
  doomed = false;
  #process!: Deno.ChildProcess;
  #printed!: Printed;
  #out!: FrameWriter;
  #end!: (reason: string | null) => void;
  #reason: string | null = null;

  /**
   * @param id as messages name it
   * @param frame_bytes_max of both ways
   */
  constructor(
    readonly id: string,
    readonly clock: Clock,
    readonly frame_bytes_max = FRAME_BYTES_MAX,
  ) {
    this.gone = new Promise((resolve) => this.#end = resolve);
  }

  /**
   * Starts the process and waits until it has connected to its own socket and named its nonce.
   * @param program may read the variable `NONCE`
   * @param socket where it connects; nobody else may, so it is removed then
   * @throws {Error} when it ends before or does not connect in time
   */
  async open(program: Confined, layers: Layers, socket: string): Promise<void> {
    await Deno.remove(socket).catch(() => {});
    const listener = Deno.listen({ transport: "unix", path: socket });
    try {
      const nonce = crypto.randomUUID();
      this.#process = spawn({ ...program, env: { ...program.env, [NONCE]: nonce } }, layers);
      this.#printed = new Printed(
        [this.#process.stdout, this.#process.stderr],
        (text) => this.onOutput(text),
        () => Promise.race([this.gone, this.#grace()]),
      );
      this.#process.status.then(async ({ code, signal }) => {
        this.doomed = true;
        // What it started may have left its group's leader behind, and holds the pipes open.
        killGroup(this.#process);
        await Promise.race([this.#printed.closed, this.#grace()]);
        this.#end(this.#reason ?? (signal ? `signal ${signal}` : `exit code ${code}`));
      }).catch((error: Error) => this.#end(this.#reason ?? error.message));
      const connection = await this.#accept(listener, nonce);
      this.#out = new FrameWriter(
        connection,
        () => this.kill("its socket broke"),
        this.frame_bytes_max,
      );
      this.#read(connection);
    } finally {
      listener.close();
      await Deno.remove(socket).catch(() => {});
    }
  }

  /** Resolves when it has ended both of its outputs with this mark, or nothing more of them is kept. */
  printedUntil(mark: string): Promise<void> {
    return this.#printed.until(mark);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /**
   * Sends a body to a worker, or to the cell itself.
   * @throws {WireError} when it is over the limit
   */
  send(worker: number, body: string): void {
    this.#out.write(worker, body);
  }

  /** SIGKILL to the whole process group. */
  kill(reason: string): void {
    if (this.doomed) return;
    this.doomed = true;
    this.#reason = reason;
    killGroup(this.#process);
  }

  async stop(): Promise<void> {
    this.kill("stopped");
    await this.gone;
  }

  /** Whoever does not name the nonce is turned away, and the next caller is heard. */
  async #accept(listener: Deno.UnixListener, nonce: string): Promise<Deno.UnixConn> {
    const known = Promise.withResolvers<Deno.UnixConn>();
    const callOff = this.clock.after(CELL_START_MS, () => {
      known.reject(new Error(`${this.id} did not connect within ${CELL_START_MS} ms`));
    });
    this.gone.then((reason) => {
      known.reject(new Error(`${this.id} ended before it connected: ${reason}`));
    });
    const callers = new Set<Deno.UnixConn>();
    hear(listener, nonce, callers, known.resolve).catch(known.reject);
    try {
      return await known.promise;
    } catch (error) {
      this.kill("it did not connect");
      throw error;
    } finally {
      callOff();
      callers.forEach(turnAway);
    }
  }

  /**
   * A cell has credit for so many frames at a time. Beyond it nothing is read until the next credit:
   * a flood fills its own socket and slows its sender, and nobody else.
   */
  async #read(connection: Deno.UnixConn): Promise<void> {
    let credit = CREDIT_FRAMES;
    let from = this.clock.now();
    try {
      await readFrames(connection, (worker, body) => {
        credit--;
        if (!this.doomed) this.onFrame(worker, body);
      }, async () => {
        const now = this.clock.now();
        if (now - from < CREDIT_EVERY_MS && credit > 0) return;
        const early = from + CREDIT_EVERY_MS - now;
        if (early > 0) await new Promise<void>((resolve) => this.clock.after(early, resolve));
        credit = CREDIT_FRAMES;
        from = this.clock.now();
      }, this.frame_bytes_max);
      // A process that dies closes it, too: then its status says more.
      await Promise.race([this.gone, this.#grace()]);
      this.kill("it closed its socket");
    } catch (error) {
      this.kill(reasonOf(error));
    }
  }

  #grace(): Promise<void> {
    return new Promise((resolve) => this.clock.after(CELL_END_GRACE_MS, resolve));
  }
}

/** Listens until the listener closes. `callers` are those who have not said who they are. */
async function hear(
  listener: Deno.UnixListener,
  nonce: string,
  callers: Set<Deno.UnixConn>,
  onKnown: (connection: Deno.UnixConn) => void,
): Promise<void> {
  for await (const caller of listener) {
    // Whoever has been silent for the longest makes room.
    if (callers.size === CALLERS_MAX) [...callers].slice(0, 1).forEach(turnAway);
    callers.add(caller);
    beginsWith(caller, nonce).catch(() => false).then((knows) => {
      callers.delete(caller);
      if (knows) onKnown(caller);
      else turnAway(caller);
    });
  }
}

function turnAway(caller: Deno.UnixConn): void {
  try {
    caller.close();
  } catch {
    // It is closed already.
  }
}

function spawn(program: Confined, layers: Layers): Deno.ChildProcess {
  const { command, args } = confine(program, layers);
  return new Deno.Command(command, {
    args,
    clearEnv: true,
    env: program.env,
    cwd: program.folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // A process group of its own, so that whatever it starts dies with it.
    detached: true,
  }).spawn();
}
