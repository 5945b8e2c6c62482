/**
 * The looks at all cells, one after the other for as long as there are any: who uses too much memory,
 * who burns CPU time with nothing to do, who is silent. What silence means is decided in core.
 */
import {
  CELL_CPU_MAX_MS,
  CELL_LOOK_MS,
  CELL_MEMORY_MAX,
  RECEIVE_CPU_MAX_MS,
  RESTLESS_LOOKS_MAX,
  SPIN_CPU_SHARE,
} from "../core/limits.ts";
import { silenceAfter, type Unheard } from "../core/silence.ts";
import type { CellHosts, Clock, HostProcess, ProcessUsage } from "../ports.ts";

/** A cell, as the pool knows it. */
export interface Cell {
  readonly id: string;
  /** Which of the `CELLS_MAX` sockets is its own. */
  readonly place: number;
  readonly host: HostProcess;
  readonly seats: Map<number, Seat>;
  /** Who may move in; nobody may once a worker of it never answered. */
  takes: "anybody" | "one_suspect" | "nobody";
  /** True when one worker is known to be why it ends: the others are innocent. */
  offender_known: boolean;
  /** Since the last look. */
  heard: boolean;
  unheard: Unheard;
  /** What it had used by then; null where nothing could be seen. */
  usage: ProcessUsage | null;
  /** Looks in a row at which it burnt CPU time with nothing to do. */
  restless: number;
}

/** A worker's place in a cell. */
export interface Seat {
  readonly cell: Cell;
  /** It has the cell for itself: whatever goes wrong there is its own doing. */
  readonly alone: boolean;
  /** The envelope that it has been handed and has not answered. */
  envelope: string | null;
  /** Since the last look. */
  heard: boolean;
  /** It had something to do since the last look. */
  busy: boolean;
  unheard: Unheard;
}

export class Looks {
  #going = false;
  #looked_at = 0;

  /** @param onSilent told of the workers of one cell that have to be given up */
  constructor(
    readonly cells: ReadonlyMap<string, Cell>,
    readonly hosts: CellHosts,
    readonly clock: Clock,
    readonly heartbeat_ms: number,
    readonly onSilent: (cell: Cell, workers: ReadonlyMap<number, Seat>) => void,
  ) {}

  /** Goes on until no cell is left. */
  begin(): void {
    if (this.#going) return;
    this.#going = true;
    this.#looked_at = this.clock.now();
    this.#next();
  }

  #next(): void {
    const due_at = this.clock.now() + CELL_LOOK_MS;
    this.clock.after(CELL_LOOK_MS, () => this.#look(due_at));
  }

  async #look(due_at: number): Promise<void> {
    const pids = [...this.cells.values()].map(({ host }) => host.pid);
    const usage = await this.hosts.usage(pids);
    const now = this.clock.now();
    const passed_ms = Math.max(0, now - this.#looked_at);
    this.#looked_at = now;
    for (const cell of [...this.cells.values()]) {
      const before = cell.usage;
      cell.usage = usage.get(cell.host.pid) ?? null;
      const used = before && cell.usage ? spent(before, cell.usage) : null;
      this.#lookAt(cell, { passed_ms, late_ms: now - due_at, used });
    }
    if (this.cells.size > 0) this.#next();
    else this.#going = false;
  }

  #lookAt(cell: Cell, look: Seen): void {
    if (cell.host.doomed) return;
    const reason = excessOf(cell, look) ?? this.#silenceOf(cell, look);
    if (reason !== null) return cell.host.kill(reason);
    const silent = this.#silentIn(cell, look);
    if (silent.size > 0) this.onSilent(cell, silent);
  }

  /** Why a cell that does not beat is given up, or null. Its first thread is the one that beats. */
  #silenceOf(cell: Cell, { used, ...look }: Seen): string | null {
    const { state, verdict } = silenceAfter(cell.unheard, {
      ...look,
      heard: cell.heard,
      used: used && { cpu_ms: used.ran_ms, waited_ms: used.waited_ms, among: 1 },
    }, { silent_ms: 2 * this.heartbeat_ms, cpu_ms: CELL_CPU_MAX_MS });
    cell.heard = false;
    cell.unheard = state;
    if (verdict === "none") return null;
    return `no heartbeat for ${Math.round(state.silent_ms)} ms: it ${verdict}`;
  }

  #silentIn(cell: Cell, look: Seen): Map<number, Seat> {
    const silent = new Map<number, Seat>();
    // Who answered meanwhile may have had of it, too.
    const among = [...cell.seats.values()].filter(({ heard, busy }) => !heard || busy).length;
    const used = look.used && { ...look.used, among: Math.max(1, among) };
    const bounds = { silent_ms: this.heartbeat_ms, cpu_ms: RECEIVE_CPU_MAX_MS };
    for (const [worker, seat] of cell.seats) {
      const { heard } = seat;
      const { state, verdict } = silenceAfter(seat.unheard, { ...look, used, heard }, bounds);
      seat.heard = false;
      seat.busy = false;
      seat.unheard = state;
      if (verdict !== "none") silent.set(worker, seat);
    }
    return silent;
  }
}

interface Seen {
  readonly passed_ms: number;
  readonly late_ms: number;
  readonly used: Omit<ProcessUsage, "bytes"> | null;
}

function spent(before: ProcessUsage, after: ProcessUsage): Omit<ProcessUsage, "bytes"> {
  return {
    cpu_ms: after.cpu_ms - before.cpu_ms,
    ran_ms: after.ran_ms - before.ran_ms,
    waited_ms: after.waited_ms - before.waited_ms,
  };
}

/** What a cell uses without right, in words, or null. */
function excessOf(cell: Cell, { passed_ms, used }: Seen): string | null {
  if (cell.usage && cell.usage.bytes > CELL_MEMORY_MAX) {
    const megabytes = Math.round(cell.usage.bytes / 2 ** 20);
    return `it uses ${megabytes} MB of memory, more than ${CELL_MEMORY_MAX / 2 ** 20}`;
  }
  const busy = [...cell.seats.values()].some(({ envelope }) => envelope !== null);
  const burns = used !== null && used.cpu_ms > passed_ms * SPIN_CPU_SHARE;
  cell.restless = burns && !busy ? cell.restless + 1 : 0;
  if (cell.restless < RESTLESS_LOOKS_MAX) return null;
  return "it burns CPU time while all its workers rest";
}
