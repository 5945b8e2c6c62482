/**
 * The kernel's side of the cells: starts the subprocesses, deals actors out to them, checks every
 * frame that comes back, and climbs the kill ladder when a worker no longer answers: terminate, look
 * at the cell's CPU time, kill the process group.
 */
import {
  CELL_LIMITS,
  CELL_LOOK_MS,
  CELL_MEMORY_MAX,
  CELLS_MAX,
  RESTLESS_LOOKS_MAX,
  SPIN_CPU_SHARE,
  SUSPECT_CELLS_MAX,
  TERMINATE_GRACE_MS,
  WORKERS_PER_CELL_MAX,
} from "../core/limits.ts";
import { answerIn, fromCell, jsonOf } from "./frames.ts";
import type { Fault } from "../core/delivery.ts";
import type { Cells, Clock, Log } from "../ports.ts";
import type { Child } from "../ports.ts";
import { CellProcess, type ProcessUsage } from "../confined/process.ts";
import { type Confined, type Layers, SEALED } from "../confined/sandbox.ts";
import { CELL, NONCE, type ToCell } from "../confined/wire.ts";

interface Seat {
  readonly cell: Cell;
  /** It has the cell for itself: whatever goes wrong there is its own doing. */
  readonly alone: boolean;
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
  readonly layers: Layers;
  /** How long a worker may be silent with a message in hand. */
  readonly heartbeat_ms: number;
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
  readonly #homeless = new Map<
    number,
    { kind: string; suspect: boolean; handed: Handed | null }
  >();
  #workers = 0;
  #names = 1;
  #asked = false;

  constructor(readonly config: CellsConfig, readonly clock: Clock, readonly log: Log) {}

  /** Starts one cell; the starter of the supervision tree's `cell` children. */
  readonly open = async (id: string): Promise<Child> => {
    const taken = new Set([...this.#cells.values()].map(({ place }) => place));
    const place = Array.from({ length: CELLS_MAX }, (_, place) => place)
      .find((place) => !taken.has(place) && !this.#opening.has(place));
    if (place === undefined) throw new Error(`There are ${CELLS_MAX} cells, the limit`);
    this.#opening.add(place);
    const cell = new Cell(id, place, this.config, this.clock, this.log);
    cell.onFrame = (worker, body) => this.#onFrame(cell, worker, body);
    try {
      await cell.start();
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
        // Unless the offender is known, any of them may have done it.
        const fault = cell.offender_known ? "none" : faultOf(seat);
        this.onFailure(worker, `its cell ended (${reason ?? "stopped"})`, fault);
      }
    });
    this.#seatTheHomeless();
    return cell;
  };

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

  start(kind: string, suspect: boolean): number {
    const worker = ++this.#workers;
    this.#homeless.set(worker, { kind, suspect, handed: null });
    this.#seatTheHomeless();
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
      this.#fail(worker, (error as Error).message, "own");
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
    for (const cell of this.#open()) {
      if (cell.workers === WORKERS_PER_CELL_MAX || cell.exclusive) continue;
      if (!emptiest || cell.workers < emptiest.workers) emptiest = cell;
    }
    return emptiest;
  }

  /** An empty one for a suspect alone; null while as many suspects as may are being tried. */
  #forSuspect(): Cell | undefined | null {
    const cells = this.#open();
    if (cells.filter(({ exclusive }) => exclusive).length >= SUSPECT_CELLS_MAX) return null;
    return cells.find(({ workers }) => workers === 0);
  }

  /** Cells that actors may move into. */
  #open(): Cell[] {
    return [...this.#cells.values()].filter(({ doomed, retired }) => !doomed && !retired);
  }

  #seat(cell: Cell, worker: number, kind: string, alone: boolean): void {
    cell.workers++;
    cell.exclusive = alone;
    // To the end of the order.
    this.#cells.delete(cell.id);
    this.#cells.set(cell.id, cell);
    this.#seats.set(worker, { cell, alone, envelope: null, heard_at: this.clock.now() });
    cell.tell({ t: "start", worker, kind });
  }

  #seatTheHomeless(): void {
    for (const [worker, { kind, suspect, handed }] of this.#homeless) {
      const cell = suspect ? this.#forSuspect() : this.#withRoom();
      if (cell === undefined) this.#askForMore();
      if (!cell) continue;
      this.#homeless.delete(worker);
      this.#seat(cell, worker, kind, suspect);
      if (handed) this.deliver(worker, handed.envelope, handed.message, handed.state);
    }
  }

  #leave(worker: number, seat: Seat): void {
    this.#seats.delete(worker);
    const { cell } = seat;
    if (--cell.workers === 0) {
      cell.exclusive = false;
      if (cell.retired) cell.kill("one of its workers never answered");
    }
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
        if (this.#seats.get(worker)?.cell === cell) this.#fail(worker, reason, "own");
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
    const answer = answerIn(body);
    if (!answer.success) {
      const reason = `its answer breaks the schema: ${answer.error.issues[0].message}`;
      this.#fail(worker, reason, "own");
    } else if (answer.data.envelope !== seat.envelope) {
      this.#fail(worker, "it answered an envelope that it does not hold", "own");
    } else {
      seat.envelope = null;
      seat.heard_at = this.clock.now();
      this.onStep(worker, answer.data);
    }
  }

  #fail(worker: number, reason: string, fault: Fault): void {
    this.stop(worker);
    this.onFailure(worker, reason, fault);
  }

  /** Looks at the heartbeats of a cell and its workers until it is called off. */
  #watch(cell: Cell): () => void {
    const { heartbeat_ms } = this.config;
    let callOff = () => {};
    const look = () => {
      const silent = this.clock.now() - heartbeat_ms;
      if (cell.heard_at < silent - heartbeat_ms) {
        cell.kill(`no heartbeat for ${2 * heartbeat_ms} ms`);
        return;
      }
      for (const [worker, seat] of this.#seats) {
        if (seat.cell === cell && seat.heard_at < silent) this.#climb(worker, seat);
      }
      callOff = this.clock.after(heartbeat_ms / 8, look);
    };
    look();
    let callOffMemory = () => {};
    let before: ProcessUsage | null = null;
    let restless = 0;
    const weigh = async () => {
      const busy = [...this.#seats.values()].some((seat) => seat.cell === cell && seat.envelope);
      const usage = await cell.usage();
      if (cell.doomed) return;
      if (usage && usage.bytes > CELL_MEMORY_MAX) {
        const megabytes = Math.round(usage.bytes / 2 ** 20);
        return cell.kill(
          `it uses ${megabytes} MB of memory, more than ${CELL_MEMORY_MAX / 2 ** 20}`,
        );
      }
      const burnt = usage && before ? usage.cpu_ms - before.cpu_ms : 0;
      restless = !busy && burnt > CELL_LOOK_MS * SPIN_CPU_SHARE ? restless + 1 : 0;
      if (restless >= RESTLESS_LOOKS_MAX) {
        return cell.kill("it burns CPU time while all its workers rest");
      }
      before = usage;
      callOffMemory = this.clock.after(CELL_LOOK_MS, weigh);
    };
    weigh();
    return () => {
      callOff();
      callOffMemory();
    };
  }

  /** The kill ladder for one worker that no longer answers. */
  async #climb(worker: number, seat: Seat): Promise<void> {
    // What sleeps instead of spinning outlives its end: its cell is given up once it is empty.
    seat.cell.retired = true;
    this.#fail(worker, `it gave no heartbeat for ${this.config.heartbeat_ms} ms`, faultOf(seat));
    const before = await seat.cell.usage();
    await new Promise<void>((resolve) => this.clock.after(TERMINATE_GRACE_MS, resolve));
    const after = await seat.cell.usage();
    // Without a way to look at the CPU time, only the end of the process is sure.
    const spins = before === null || after === null ||
      after.cpu_ms - before.cpu_ms > TERMINATE_GRACE_MS * SPIN_CPU_SHARE;
    if (!spins) return;
    seat.cell.offender_known = true;
    seat.cell.kill("a worker in it spins and cannot be terminated");
  }
}

/** Whose fault it is when a worker is silent or its cell ends. */
function faultOf({ alone }: Seat): Fault {
  return alone ? "own" : "unclear";
}

/** A cell of agents. */
class Cell extends CellProcess {
  workers = 0;
  /** One suspect has it for itself. */
  exclusive = false;
  /** A worker of it never answered: it takes no more actors. */
  retired = false;
  heard_at = 0;
  /** True when one worker is known to be why: the others are innocent. */
  offender_known = false;

  constructor(
    id: string,
    /** Which of the `CELLS_MAX` sockets is its own. */
    readonly place: number,
    readonly config: CellsConfig,
    clock: Clock,
    log: Log,
  ) {
    super(id, clock);
    this.onOutput = (text) => {
      for (const line of text.split("\n")) if (line.trim()) log(`${id}: ${line.trim()}`);
    };
  }

  async start(): Promise<void> {
    const socket = socketPath(this.config.folder, this.place);
    // What runs in it is Troupe's own code: limits, without namespaces, so that its CPU time and memory
    // can be seen.
    const layers = { ...this.config.layers, bwrap: false };
    await this.open(program(socket, this.config), layers, socket);
    this.heard_at = this.clock.now();
    const { kinds, spare } = this.config;
    this.tell({ t: "hello", kinds: { ...kinds }, spare: { ...spare } });
  }

  /** Says something to the cell itself. */
  tell(frame: ToCell): void {
    this.send(CELL, JSON.stringify(frame));
  }

  override stop(): Promise<void> {
    this.offender_known = true;
    return super.stop();
  }
}

/** The path of one of the sockets; each has its own grant, since grants know no wildcard. */
export function socketPath(folder: string, place: number): string {
  return `${folder}/${place}.sock`;
}

function program(socket: string, config: CellsConfig): Confined {
  return {
    program: Deno.execPath(),
    args: [
      "run",
      ...SEALED,
      "--no-config",
      "--unstable-worker-options",
      `--allow-read=${config.code},${socket}`,
      `--allow-write=${socket}`,
      `--allow-net=unix:${socket}`,
      `--allow-env=${NONCE}`,
      `${config.code}runtime/cells/cell.ts`,
      socket,
    ],
    // A folder that cannot be: cells share no cache, and can fill none.
    env: { DENO_DIR: "/dev/null/none", NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    read: [],
    write: [],
    network: false,
    folder: config.folder,
    limits: CELL_LIMITS,
  };
}
