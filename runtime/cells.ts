/**
 * The kernel's side of the cells: starts the subprocesses, deals actors out to them, checks every
 * frame that comes back, and climbs the kill ladder when a worker no longer answers: terminate, look
 * at the cell's CPU time, kill the process group.
 */
import {
  CELL_LOG_BYTES_MAX,
  CELL_START_MS,
  CELLS_MAX,
  HEARTBEAT_MS,
  SPIN_CPU_SHARE,
  TERMINATE_GRACE_MS,
  WORKERS_PER_CELL_MAX,
} from "./core/limits.ts";
import { fromCell, fromWorker } from "./frames.ts";
import type { Cells, Clock, Log } from "./ports.ts";
import type { Child } from "./supervisor.ts";
import { CELL, FrameWriter, readFrames, type ToCell } from "./wire.ts";

interface Seat {
  readonly cell: Cell;
  /** The envelope that it has been handed and has not answered. */
  envelope: string | null;
  /** When it was last heard of, ms. */
  heard_at: number;
}

/** An envelope on its way to a worker; message and state are JSON. */
interface Handed {
  readonly envelope: string;
  readonly message: string;
  readonly state: string | null;
}

export interface CellsConfig {
  /** An existing folder, of ours alone, for sockets and the cells' code cache. */
  readonly folder: string;
  /** The folder with the program's own code, which a cell may read. */
  readonly code: string;
  /** Module of each kind of actor, as a URL. */
  readonly kinds: Readonly<Record<string, string>>;
  /** How many warm workers of each kind a cell keeps. */
  readonly spare: Readonly<Record<string, number>>;
}

export class CellPool implements Cells {
  onStep: Cells["onStep"] = () => {};
  onFailure: Cells["onFailure"] = () => {};
  /** Asks for one cell more; set by the kernel, which goes through the supervisor. */
  onFull: (id: string) => void = () => {};
  readonly #cells = new Map<string, Cell>();
  /** Places of cells that have not connected yet. */
  readonly #opening = new Set<number>();
  readonly #seats = new Map<number, Seat>();
  /** Actors that wait for a cell with room, with what they were handed meanwhile. */
  readonly #homeless = new Map<number, { kind: string; handed: Handed | null }>();
  #workers = 0;
  #names = 1;
  #asked = false;

  constructor(readonly config: CellsConfig, readonly clock: Clock, readonly log: Log) {}

  /** Starts one cell; the starter of the supervision tree's `cell` children. */
  async open(id: string): Promise<Child> {
    const taken = new Set([...this.#cells.values()].map(({ place }) => place));
    const place = Array.from({ length: CELLS_MAX }, (_, place) => place)
      .find((place) => !taken.has(place) && !this.#opening.has(place));
    if (place === undefined) throw new Error(`There are ${CELLS_MAX} cells, the limit`);
    this.#opening.add(place);
    const cell = new Cell(id, place, this.config, this.clock, this.log);
    cell.onFrame = (worker, body) => this.#onFrame(cell, worker, body);
    try {
      await cell.open();
    } finally {
      this.#opening.delete(place);
      this.#asked = false;
    }
    this.#cells.set(id, cell);
    const stopWatching = this.#watch(cell);
    cell.gone.then((reason) => {
      stopWatching();
      this.#cells.delete(id);
      for (const [worker, seat] of this.#seats) {
        if (seat.cell !== cell) continue;
        this.#seats.delete(worker);
        // Only when the offender is known are the others innocent: else any of them may have done it.
        this.onFailure(worker, `its cell ended (${reason ?? "stopped"})`, cell.offender_known);
      }
    });
    this.#seatTheHomeless();
    return cell;
  }

  /** Process ids of the cells, for the system page and for tests that kill them. */
  get pids(): number[] {
    return [...this.#cells.values()].map(({ pid }) => pid);
  }

  /** Has as many cells as `workers` need, so that the first burst finds them warm. */
  reserve(workers: number): void {
    for (let cells = this.#names; cells * WORKERS_PER_CELL_MAX < workers; cells++) {
      this.onFull(`cell-${++this.#names}`);
    }
  }

  get size(): { cells: number; workers: number } {
    return { cells: this.#cells.size, workers: this.#seats.size };
  }

  start(kind: string): number {
    const worker = ++this.#workers;
    const cell = this.#withRoom();
    if (cell) this.#seat(cell, worker, kind);
    else {
      this.#homeless.set(worker, { kind, handed: null });
      this.#askForMore();
    }
    return worker;
  }

  /** One cell at a time: the next is asked for when this one is there and does not suffice. */
  #askForMore(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.onFull(`cell-${++this.#names}`);
  }

  deliver(worker: number, envelope: string, message: string, state: string | null): void {
    const seat = this.#seats.get(worker);
    if (!seat) {
      const homeless = this.#homeless.get(worker);
      if (homeless) homeless.handed = { envelope, message, state };
      return;
    }
    seat.envelope = envelope;
    seat.heard_at = this.clock.now();
    // Texts in a text: what the database holds as JSON is not read here.
    const body = `{"envelope":"${envelope}","message":${message},"state":${state}}`;
    try {
      seat.cell.send(worker, body);
    } catch (error) {
      // Too large for a frame: that is this actor's trouble and nobody else's.
      this.#fail(worker, (error as Error).message);
    }
  }

  stop(worker: number): void {
    this.#homeless.delete(worker);
    const seat = this.#seats.get(worker);
    if (!seat) return;
    this.#leave(worker, seat);
    seat.cell.tell({ t: "stop", worker });
  }

  /** The emptiest one, of several the one that waited longest: so warm workers last longest. */
  #withRoom(): Cell | undefined {
    let emptiest: Cell | undefined;
    for (const cell of this.#cells.values()) {
      if (cell.workers === WORKERS_PER_CELL_MAX || cell.doomed) continue;
      if (!emptiest || cell.workers < emptiest.workers) emptiest = cell;
    }
    return emptiest;
  }

  #seat(cell: Cell, worker: number, kind: string): void {
    cell.workers++;
    // To the end of the order.
    this.#cells.delete(cell.id);
    this.#cells.set(cell.id, cell);
    this.#seats.set(worker, { cell, envelope: null, heard_at: this.clock.now() });
    cell.tell({ t: "start", worker, kind });
  }

  #seatTheHomeless(): void {
    for (const [worker, { kind, handed }] of this.#homeless) {
      const cell = this.#withRoom();
      if (!cell) return this.#askForMore();
      this.#homeless.delete(worker);
      this.#seat(cell, worker, kind);
      if (handed) this.deliver(worker, handed.envelope, handed.message, handed.state);
    }
  }

  #leave(worker: number, seat: Seat): void {
    this.#seats.delete(worker);
    seat.cell.workers--;
    this.#seatTheHomeless();
  }

  /** Everything from a cell is hostile: what breaks the rules ends the cell, or the one worker. */
  #onFrame(cell: Cell, worker: number, body: Uint8Array): void {
    if (worker === CELL) return this.#onReport(cell, body);
    const seat = this.#seats.get(worker);
    // Stopped meanwhile, or somebody else's worker: nobody waits for it.
    if (seat?.cell === cell) this.#onAnswer(worker, seat, body);
  }

  #onReport(cell: Cell, body: Uint8Array): void {
    const report = fromCell.safeParse(jsonOf(body));
    if (!report.success) {
      cell.kill(`it sent a frame that breaks its schema: ${report.error.issues[0].message}`);
      return;
    }
    switch (report.data.t) {
      case "failed": {
        const { worker, reason } = report.data;
        if (this.#seats.get(worker)?.cell === cell) this.#fail(worker, reason);
        return;
      }
      case "beat":
        cell.heard_at = this.clock.now();
        for (const worker of report.data.workers) {
          const seat = this.#seats.get(worker);
          if (seat?.cell === cell) seat.heard_at = cell.heard_at;
        }
    }
  }

  #onAnswer(worker: number, seat: Seat, body: Uint8Array): void {
    const answer = fromWorker.safeParse(jsonOf(body));
    if (!answer.success) {
      this.#fail(worker, `its answer breaks the schema: ${answer.error.issues[0].message}`);
    } else if (answer.data.envelope !== seat.envelope) {
      this.#fail(worker, "it answered an envelope that it does not hold");
    } else {
      seat.envelope = null;
      seat.heard_at = this.clock.now();
      this.onStep(worker, answer.data);
    }
  }

  #fail(worker: number, reason: string): void {
    this.stop(worker);
    this.onFailure(worker, reason, false);
  }

  /** Looks at the heartbeats of a cell and its workers until it is called off. */
  #watch(cell: Cell): () => void {
    let callOff = () => {};
    const look = () => {
      const silent = this.clock.now() - HEARTBEAT_MS;
      if (cell.heard_at < silent - HEARTBEAT_MS) {
        cell.kill(`no heartbeat for ${2 * HEARTBEAT_MS} ms`);
        return;
      }
      for (const [worker, seat] of this.#seats) {
        if (seat.cell === cell && seat.heard_at < silent) this.#climb(worker, seat);
      }
      callOff = this.clock.after(HEARTBEAT_MS / 8, look);
    };
    look();
    return () => callOff();
  }

  /** The kill ladder for one worker that no longer answers. */
  async #climb(worker: number, seat: Seat): Promise<void> {
    this.#fail(worker, `it gave no heartbeat for ${HEARTBEAT_MS} ms`);
    const before = await seat.cell.cpuMs();
    await new Promise<void>((resolve) => this.clock.after(TERMINATE_GRACE_MS, resolve));
    const after = await seat.cell.cpuMs();
    // Without a way to look at the CPU time, only the end of the process is sure.
    const spins = before === null || after === null ||
      after - before > TERMINATE_GRACE_MS * SPIN_CPU_SHARE;
    if (!spins) return;
    seat.cell.offender_known = true;
    seat.cell.kill("a worker in it spins and cannot be terminated");
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** What a body says, or undefined, which fits no schema. */
function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(body));
  } catch {
    return undefined;
  }
}

/** One subprocess. */
class Cell implements Child {
  readonly gone: Promise<string | null>;
  onFrame: (worker: number, body: Uint8Array) => void = () => {};
  workers = 0;
  heard_at = 0;
  /** True once it is being ended: no new actor may move in. */
  doomed = false;
  /** True when one worker is known to be why: the others are innocent. */
  offender_known = false;
  #process!: Deno.ChildProcess;
  #out!: FrameWriter;
  #end!: (reason: string | null) => void;
  #reason: string | null = null;

  constructor(
    readonly id: string,
    /** Which of the `CELLS_MAX` sockets is its own. */
    readonly place: number,
    readonly config: CellsConfig,
    readonly clock: Clock,
    readonly log: Log,
  ) {
    this.gone = new Promise((resolve) => this.#end = resolve);
  }

  /** Starts the process and waits until it has connected to its own socket. */
  async open(): Promise<void> {
    const path = socketPath(this.config.folder, this.place);
    await Deno.remove(path).catch(() => {});
    const listener = Deno.listen({ transport: "unix", path });
    try {
      this.#process = spawn(path, this.config);
      this.#process.status.then(({ code, signal }) => {
        this.doomed = true;
        this.#end(this.#reason ?? (signal ? `signal ${signal}` : `exit code ${code}`));
      });
      for (const stream of [this.#process.stdout, this.#process.stderr]) this.#capture(stream);
      const connection = await this.#accept(listener);
      this.#out = new FrameWriter(connection, () => this.kill("its socket broke"));
      this.#read(connection);
      this.heard_at = this.clock.now();
      const { kinds, spare } = this.config;
      this.tell({ t: "hello", kinds: { ...kinds }, spare: { ...spare } });
    } finally {
      // The socket is this one process's identity: nobody else may connect to it.
      listener.close();
      await Deno.remove(path).catch(() => {});
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Says something to the cell itself. */
  tell(frame: ToCell): void {
    this.send(CELL, JSON.stringify(frame));
  }

  /**
   * Sends a body on to a worker.
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
    this.offender_known = true;
    this.kill("stopped");
    await this.gone;
  }

  /** User and system time of the process so far in ms, or null where it cannot be seen. */
  async cpuMs(): Promise<number | null> {
    if (Deno.build.os !== "linux") return null;
    const { success, stdout } = await new Deno.Command("cat", {
      args: [`/proc/${this.#process.pid}/stat`],
      stderr: "null",
    }).output();
    if (!success) return null;
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms; the name before them may have spaces.
    const fields = new TextDecoder().decode(stdout).split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  async #accept(listener: Deno.UnixListener): Promise<Deno.UnixConn> {
    let callOff = () => {};
    const late = new Promise<never>((_, reject) => {
      callOff = this.clock.after(CELL_START_MS, () => {
        reject(new Error(`${this.id} did not connect within ${CELL_START_MS} ms`));
      });
    });
    const died = this.gone.then((reason) => {
      throw new Error(`${this.id} ended before it connected: ${reason}`);
    });
    died.catch(() => {});
    try {
      return await Promise.race([listener.accept(), late, died]);
    } catch (error) {
      killGroup(this.#process);
      throw error;
    } finally {
      callOff();
    }
  }

  async #read(connection: Deno.UnixConn): Promise<void> {
    try {
      await readFrames(connection, this.onFrame);
      this.kill("it closed its socket");
    } catch (error) {
      this.kill((error as Error).message);
    }
  }

  /** What a cell prints is shown without control characters, and only so much of it. */
  async #capture(stream: ReadableStream<Uint8Array>): Promise<void> {
    let room = CELL_LOG_BYTES_MAX;
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      if (room <= 0) continue;
      const text = decoder.decode(chunk.subarray(0, room), { stream: true });
      room -= chunk.length;
      for (const line of text.split("\n")) {
        // deno-lint-ignore no-control-regex -- these are what is taken out
        const plain = line.replace(/[\x00-\x1f\x7f-\x9f]/g, "").trim();
        if (plain) this.log(`${this.id}: ${plain}`);
      }
    }
  }
}

/** The path of one of the sockets; each has its own grant, since grants know no wildcard. */
export function socketPath(folder: string, place: number): string {
  return `${folder}/${place}.sock`;
}

function spawn(socket: string, config: CellsConfig): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      "--no-npm",
      "--no-remote",
      "--cached-only",
      "--no-check",
      "--unstable-worker-options",
      `--allow-read=${config.code},${socket}`,
      `--allow-write=${socket}`,
      `--allow-net=unix:${socket}`,
      new URL(import.meta.resolve("./cell.ts")).pathname,
      socket,
    ],
    clearEnv: true,
    env: { DENO_DIR: `${config.folder}/deno`, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // A process group of its own, so that whatever it starts dies with it.
    detached: true,
  }).spawn();
}

/**
 * Ends a cell's process at once, then whatever it may have started. Signalling a group needs the right
 * to run anything (`Deno.kill`), so that the kernel leaves it to `kill`, the one program granted.
 */
function killGroup(process: Deno.ChildProcess): void {
  try {
    process.kill("SIGKILL");
  } catch {
    // It has ended already; its group may still be there.
  }
  new Deno.Command("kill", {
    args: ["-KILL", "--", `-${process.pid}`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output().catch(() => {});
}
