/**
 * The kernel's side of the cells: deals actors out to them, checks every frame that comes back, and
 * climbs the kill ladder when a worker no longer answers: terminate, look at the cell's CPU time, kill
 * the process group.
 */
import {
  CELLS_MAX,
  SPIN_CPU_SHARE,
  SUSPECT_CELLS_MAX,
  TERMINATE_GRACE_MS,
  WORKERS_PER_CELL_MAX,
} from "../core/limits.ts";
import { answerIn, fromCell } from "./frames.ts";
import type { Fault } from "../core/delivery.ts";
import { JUST_HEARD } from "../core/silence.ts";
import { jsonOf } from "../core/text.ts";
import { type Cell, Looks, type Seat } from "./looks.ts";
import type { CellHosts, Cells, Child, Clock } from "../ports.ts";
import { CELL, type ToCell } from "../confined/wire.ts";
import { reasonOf } from "../core/reason.ts";

/** An envelope on its way to a worker; message and state are JSON. */
interface Handed {
  readonly envelope: string;
  readonly message: string;
  readonly state: string | null;
}

export interface CellsConfig {
  /** Module of each kind of actor, as a URL. */
  readonly kinds: Readonly<Record<string, string>>;
  /** How many warm workers of each kind a cell keeps. */
  readonly spare: Readonly<Record<string, number>>;
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
  readonly #looks: Looks;
  #workers = 0;
  #names = 1;
  #asked = false;

  constructor(
    readonly config: CellsConfig,
    readonly hosts: CellHosts,
    readonly clock: Clock,
  ) {
    this.#looks = new Looks(
      this.#cells,
      hosts,
      clock,
      config.heartbeat_ms,
      (cell, workers) => this.#climb(cell, workers),
    );
  }

  /** Starts one cell; the starter of the supervision tree's `cell` children. */
  readonly open = async (id: string): Promise<Child> => {
    const cell = await this.#start(id, this.#freePlace());
    this.#cells.set(id, cell);
    this.#looks.begin();
    cell.host.gone.then((reason) => this.#onGone(cell, reason));
    const { kinds, spare } = this.config;
    tell(cell, { t: "hello", kinds: { ...kinds }, spare: { ...spare } });
    this.#seatTheHomeless();
    return {
      gone: cell.host.gone,
      stop: async () => {
        cell.offender_known = true;
        await cell.host.stop();
      },
    };
  };

  /** Process ids of the cells, for the system page and for tests that kill them. */
  get pids(): number[] {
    return [...this.#cells.values()].map(({ host }) => host.pid);
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

  deliver(worker: number, envelope: string, message: string, state: string | null): void {
    const seat = this.#seats.get(worker);
    if (!seat) {
      const homeless = this.#homeless.get(worker);
      if (homeless) homeless.handed = { envelope, message, state };
      return;
    }
    seat.envelope = envelope;
    seat.heard = true;
    seat.busy = true;
    // Texts in a text: what the database holds as JSON is not read here.
    const body = `{"envelope":"${envelope}","message":${message},"state":${state}}`;
    try {
      seat.cell.host.send(worker, body);
    } catch (error) {
      // Too large for a frame: that is this actor's trouble and nobody else's.
      this.#fail(worker, reasonOf(error), "own");
    }
  }

  stop(worker: number): void {
    this.#homeless.delete(worker);
    const seat = this.#seats.get(worker);
    if (!seat) return;
    this.#leave(worker, seat);
    tell(seat.cell, { t: "stop", worker });
  }

  #freePlace(): number {
    const taken = new Set([...this.#cells.values()].map(({ place }) => place));
    const place = Array.from({ length: CELLS_MAX }, (_, place) => place)
      .find((place) => !taken.has(place) && !this.#opening.has(place));
    if (place === undefined) throw new Error(`There are ${CELLS_MAX} cells, the limit`);
    return place;
  }

  async #start(id: string, place: number): Promise<Cell> {
    this.#opening.add(place);
    let cell: Cell | null = null;
    try {
      const host = await this.hosts.open(id, place, (worker, body) => {
        if (cell) this.#onFrame(cell, worker, body);
      });
      return cell = {
        id,
        place,
        host,
        seats: new Map(),
        takes: "anybody",
        offender_known: false,
        heard: true,
        unheard: JUST_HEARD,
        usage: null,
        restless: 0,
      };
    } finally {
      this.#opening.delete(place);
      this.#asked = false;
    }
  }

  #onGone(cell: Cell, reason: string | null): void {
    this.#cells.delete(cell.id);
    for (const [worker, seat] of cell.seats) {
      this.#seats.delete(worker);
      // Unless the offender is known, any of them may have done it.
      const fault = cell.offender_known ? "none" : faultOf(seat);
      this.onFailure(worker, `its cell ended (${reason ?? "stopped"})`, fault);
    }
    cell.seats.clear();
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

  /** The emptiest one, of several the one that waited longest: so warm workers last longest. */
  #withRoom(): Cell | undefined {
    let emptiest: Cell | undefined;
    for (const cell of this.#open()) {
      if (cell.seats.size === WORKERS_PER_CELL_MAX || cell.takes !== "anybody") continue;
      if (!emptiest || cell.seats.size < emptiest.seats.size) emptiest = cell;
    }
    return emptiest;
  }

  /** An empty one for a suspect alone; null while as many suspects as may are being tried. */
  #forSuspect(): Cell | undefined | null {
    const cells = this.#open();
    const tried = cells.filter(({ takes }) => takes === "one_suspect").length;
    if (tried >= SUSPECT_CELLS_MAX) return null;
    return cells.find(({ seats }) => seats.size === 0);
  }

  /** Cells that actors may move into. */
  #open(): Cell[] {
    return [...this.#cells.values()].filter(({ host, takes }) =>
      !host.doomed && takes !== "nobody"
    );
  }

  /** One cell at a time: the next is asked for when this one is there and does not suffice. */
  #askForMore(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.onFull(`cell-${++this.#names}`);
  }

  #seat(cell: Cell, worker: number, kind: string, alone: boolean): void {
    if (alone) cell.takes = "one_suspect";
    // To the end of the order.
    this.#cells.delete(cell.id);
    this.#cells.set(cell.id, cell);
    const seat = { cell, alone, envelope: null, heard: true, busy: true, unheard: JUST_HEARD };
    this.#seats.set(worker, seat);
    cell.seats.set(worker, seat);
    tell(cell, { t: "start", worker, kind });
  }

  #leave(worker: number, { cell }: Seat): void {
    this.#seats.delete(worker);
    cell.seats.delete(worker);
    if (cell.seats.size === 0) {
      if (cell.takes === "nobody") cell.host.kill("one of its workers never answered");
      else cell.takes = "anybody";
    }
    this.#seatTheHomeless();
  }

  /** Everything from a cell is hostile: what breaks the rules ends the cell, or the one worker. */
  #onFrame(cell: Cell, worker: number, body: Uint8Array): void {
    if (worker === CELL) return this.#onReport(cell, body);
    const seat = cell.seats.get(worker);
    // Stopped meanwhile, or somebody else's worker: nobody waits for it.
    if (seat) this.#onAnswer(worker, seat, body);
  }

  #onReport(cell: Cell, body: Uint8Array): void {
    const report = fromCell.safeParse(jsonOf(body));
    if (!report.success) {
      cell.host.kill(`it sent a frame that breaks its schema: ${report.error.issues[0].message}`);
      return;
    }
    switch (report.data.t) {
      case "failed": {
        const { worker, reason } = report.data;
        if (cell.seats.has(worker)) this.#fail(worker, reason, "own");
        return;
      }
      case "beat":
        cell.heard = true;
        for (const worker of report.data.workers) {
          const seat = cell.seats.get(worker);
          if (seat) seat.heard = true;
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
      seat.heard = true;
      seat.busy = true;
      this.onStep(worker, answer.data);
    }
  }

  #fail(worker: number, reason: string, fault: Fault): void {
    this.stop(worker);
    this.onFailure(worker, reason, fault);
  }

  /** The kill ladder for workers of a cell that no longer answer. */
  async #climb(cell: Cell, workers: ReadonlyMap<number, Seat>): Promise<void> {
    // What sleeps instead of spinning outlives its end: its cell is given up once it is empty.
    cell.takes = "nobody";
    for (const [worker, seat] of workers) {
      const silent_ms = Math.round(seat.unheard.silent_ms);
      this.#fail(worker, `it gave no heartbeat for ${silent_ms} ms`, faultOf(seat));
    }
    const before = await this.#cpuOf(cell);
    await new Promise<void>((resolve) => this.clock.after(TERMINATE_GRACE_MS, resolve));
    const after = await this.#cpuOf(cell);
    // Without a way to look at the CPU time, only the end of the process is sure.
    const spins = before === null || after === null ||
      after - before > TERMINATE_GRACE_MS * SPIN_CPU_SHARE;
    if (!spins) return;
    cell.offender_known = true;
    cell.host.kill("a worker in it spins and cannot be terminated");
  }

  async #cpuOf({ host }: Cell): Promise<number | null> {
    return (await this.hosts.usage([host.pid])).get(host.pid)?.cpu_ms ?? null;
  }
}

/** Says something to the cell itself. */
function tell({ host }: Cell, frame: ToCell): void {
  host.send(CELL, JSON.stringify(frame));
}

/** Whose fault it is when a worker is silent or its cell ends. */
function faultOf({ alone }: Seat): Fault {
  return alone ? "own" : "unclear";
}
