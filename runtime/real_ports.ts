/** The ports of a machine: its clock, its processes, its files, its network. */
import { openStore } from "../db/store.ts";
import type { Ports } from "./boot.ts";
import { CellPool } from "./cells/pool.ts";
import { AgentCells } from "./confined/agent_cells.ts";
import type { Layers } from "./confined/sandbox.ts";
import { Shell } from "./confined/terminal.ts";
import { ToolCells } from "./confined/tool_cells.ts";
import { Removal } from "./confined/removal.ts";
import { Workspaces } from "./confined/workspaces.ts";
import { HEARTBEAT_MS } from "./core/limits.ts";
import type { ModelTable } from "./core/model/facts.ts";
import type { Provider } from "./core/model/messages.ts";
import type { Playbook } from "./core/model/offline.ts";
import type { Patience } from "./core/model/patience.ts";
import type { Cassette } from "./model/cassette.ts";
import { GatewayDoor } from "./model/gateway.ts";
import { type Log, systemClock, systemRandom, ulids } from "./ports.ts";

export interface Machine {
  readonly database_url: string;
  /** Folders: of all trees' workspaces, of sockets, of what is used once, of the program's own code. */
  readonly workspaces: string;
  readonly sockets: string;
  readonly scratch: string;
  /** On the same disk as the others: what is to go lies there until it is removed. */
  readonly trash: string;
  readonly code: string;
  readonly layers: Layers;
  /** How long an actor may take for one step; `HEARTBEAT_MS` when left out. */
  readonly heartbeat_ms?: number;
  /** Module of each kind of actor, as a URL. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly spare: Readonly<Record<string, number>>;
  readonly playbooks: readonly Playbook[];
  /** Who answers; null for the offline model. */
  readonly provider: Provider | null;
  /** What is known about models. */
  readonly models: ModelTable;
  readonly patience: Patience;
  /** Whether model calls are recorded or played back. */
  readonly cassette: Cassette | null;
  readonly log: Log;
}

export type RealPorts = Ports & {
  readonly cells: CellPool;
  readonly files: Workspaces;
  readonly tools: ToolCells;
  readonly model: GatewayDoor;
};

export function realPorts(machine: Machine): RealPorts {
  const { sockets, scratch, trash, code, layers, log } = machine;
  const clock = systemClock;
  const { workspaces: folder } = machine;
  const workspaces = new Workspaces({ workspaces: folder, sockets, code, layers }, clock, log);
  const removal = new Removal(trash, layers, log);
  const { playbooks, provider, patience, cassette, models } = machine;
  return {
    clock,
    ids: ulids,
    random: systemRandom,
    log,
    openStore: () => openStore(machine.database_url),
    cells: new CellPool(
      {
        kinds: machine.kinds,
        spare: machine.spare,
        heartbeat_ms: machine.heartbeat_ms ?? HEARTBEAT_MS,
      },
      new AgentCells({ folder: sockets, code, layers }, clock, log),
      clock,
    ),
    model: new GatewayDoor(playbooks, provider, patience, cassette, models),
    files: workspaces,
    tools: new ToolCells({ sockets, scratch, code, layers }, workspaces, removal, clock, log),
    terminal: new Shell(layers, workspaces, clock),
  };
}
