/** Starts the processes of agent cells, each on a socket of its own, and looks at what they use. */
import { CELL_LIMITS } from "../core/limits.ts";
import type { CellHosts, Clock, HostProcess, Log } from "../ports.ts";
import { CellProcess } from "./process.ts";
import { type Confined, type Layers, SEALED, SEALED_ENV } from "./sandbox.ts";
import { usageOf } from "./usage.ts";
import { NONCE } from "./wire.ts";

export interface AgentCellsConfig {
  /** An existing folder, of ours alone, for sockets. */
  readonly folder: string;
  /** The folder with the program's own code, which a cell may read. */
  readonly code: string;
  readonly layers: Layers;
}

export class AgentCells implements CellHosts {
  constructor(readonly config: AgentCellsConfig, readonly clock: Clock, readonly log: Log) {}

  async open(
    id: string,
    place: number,
    onFrame: (worker: number, body: Uint8Array) => void,
  ): Promise<HostProcess> {
    const cell = new CellProcess(id, this.clock);
    cell.onFrame = onFrame;
    cell.onOutput = (text) => {
      for (const line of text.split("\n")) if (line.trim()) this.log(`${id}: ${line.trim()}`);
    };
    const socket = socketPath(this.config.folder, place);
    // What runs in it is Troupe's own code: limits, without namespaces, so that its CPU time and memory
    // can be seen.
    const layers = { ...this.config.layers, bwrap: false };
    await cell.open(program(socket, this.config), layers, socket);
    return cell;
  }

  readonly usage = usageOf;
}

/** The path of one of the sockets; each has its own grant, since grants know no wildcard. */
function socketPath(folder: string, place: number): string {
  return `${folder}/${place}.sock`;
}

function program(socket: string, { code, folder }: AgentCellsConfig): Confined {
  return {
    program: Deno.execPath(),
    args: [
      "run",
      ...SEALED,
      "--no-config",
      "--unstable-worker-options",
      `--allow-read=${code},${socket}`,
      `--allow-write=${socket}`,
      `--allow-net=unix:${socket}`,
      `--allow-env=${NONCE}`,
      `${code}runtime/cells/cell.ts`,
      socket,
    ],
    env: SEALED_ENV,
    read: [],
    write: [],
    network: false,
    folder,
    limits: CELL_LIMITS,
  };
}
