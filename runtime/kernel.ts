/**
 * The kernel: puts the parts together under the supervision tree and is the one door for commands.
 * It runs no agent-written code.
 */
import { openStore, type Store } from "../db/store.ts";
import { releaseNode } from "../db/tasks.ts";
import type { Unit, UnitResult } from "../db/unit.ts";
import { CellPool } from "./cells/pool.ts";
import type { Containment } from "./core/config.ts";
import type { Layers } from "./confined/sandbox.ts";
import { ToolCells } from "./confined/tool_cells.ts";
import { HEARTBEAT_MS } from "./core/limits.ts";
import type { Provider } from "./core/model/messages.ts";
import type { ModelTable } from "./core/model/facts.ts";
import { PATIENCE, type Patience } from "./core/model/patience.ts";
import type { Playbook } from "./core/model/offline.ts";
import type { SupervisorSpec } from "./core/supervision.ts";
import { Drafts } from "./passing/drafts.ts";
import { Events } from "./passing/events.ts";
import { type Files, FilesDoor } from "./confined/files.ts";
import { type Cassette, type Gateway, GatewayDoor } from "./model/gateway.ts";
import { Performers } from "./outbox/execute.ts";
import { Outputs } from "./tools/terminal.ts";
import { type Clock, type Ids, type Log, systemClock, ulids } from "./ports.ts";
import { newTree, type TreeRequest } from "./commands/begin.ts";
import { Liveness } from "./commands/liveness.ts";
import { Scheduler } from "./loop/scheduler.ts";
import { Supervisor } from "./supervision/supervisor.ts";
import type { Starter } from "./ports.ts";
import type { Child } from "./ports.ts";
import { Watch } from "./loop/watch.ts";

/** What every part of the runtime works with. */
export interface Parts {
  readonly store: Store;
  readonly gateway: Gateway;
  readonly files: Files;
  readonly tools: ToolCells;
  readonly outputs: Outputs;
  readonly drafts: Drafts;
  /** Who answers; null for the offline model. */
  readonly provider: Provider | null;
  readonly models: ModelTable;
  readonly patience: Patience;
  readonly containment: Containment;
  readonly events: Events;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Longest time between two looks for stuck tasks. */
  readonly check_interval_ms: number;
}

export interface KernelConfig {
  readonly database_url: string;
  /** Who claims: the data folder's node. */
  readonly node_id: string;
  readonly workspaces: string;
  readonly sockets: string;
  /** For folders that are thrown away with the process that had them. */
  readonly scratch: string;
  /** The program's own folder. */
  readonly code: string;
  readonly layers: Layers;
  /** Whether tools that agents wrote may run without namespaces around them. */
  readonly containment: Containment;
  readonly slots: number;
  /** How long an actor may take for one step; `HEARTBEAT_MS` when left out. */
  readonly heartbeat_ms?: number;
  readonly timeout_seconds: number;
  readonly check_interval_seconds: number;
  readonly root: SupervisorSpec;
  /** Module of each kind of actor, as a URL. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly spare: Readonly<Record<string, number>>;
  readonly playbooks: readonly Playbook[];
  /** Who answers; the offline model when left out. */
  readonly provider?: Provider | null;
  /** What is known about models. */
  readonly models: ModelTable;
  /** Whether model calls are recorded or played back. */
  readonly cassette?: Cassette | null;
  /** How long model calls wait, where that differs from the limits. */
  readonly patience?: Partial<Patience>;
  readonly log: Log;
  /** Called once the database is open, before anything runs: seeds a new one. */
  readonly onOpen: (store: Store) => Promise<void>;
}

export class Kernel {
  readonly events = new Events();
  readonly outputs = new Outputs((tree_id) => this.events.whisper(tree_id));
  readonly drafts = new Drafts((tree_id) => this.events.whisper(tree_id));
  readonly clock: Clock = systemClock;
  readonly ids: Ids = ulids;
  readonly cells: CellPool;
  readonly liveness = new Liveness(() => this.#store, this.clock);
  #store!: Store;
  #gateway!: Gateway;
  #tools!: ToolCells;
  #scheduler!: Scheduler;
  #watch!: Watch;
  #supervisor!: Supervisor;

  private constructor(readonly config: KernelConfig) {
    this.cells = new CellPool(
      {
        folder: config.sockets,
        code: config.code,
        kinds: config.kinds,
        spare: config.spare,
        layers: config.layers,
        heartbeat_ms: config.heartbeat_ms ?? HEARTBEAT_MS,
      },
      this.clock,
      config.log,
    );
  }

  /**
   * Opens the database, starts the supervision tree and takes up what was under way.
   * @throws {StoreError} when the database cannot be used
   */
  static async start(config: KernelConfig): Promise<Kernel> {
    const kernel = new Kernel(config);
    await kernel.#start();
    return kernel;
  }

  get store(): Store {
    return this.#store;
  }

  get gateway(): Gateway {
    return this.#gateway;
  }

  get tools(): ToolCells {
    return this.#tools;
  }

  get supervisor(): Supervisor {
    return this.#supervisor;
  }

  /** Resolves when the kernel is over: null after `stop`, else why. */
  get gone(): Promise<string | null> {
    return this.#supervisor.gone;
  }

  get load(): Scheduler["load"] {
    return this.#scheduler.load;
  }

  /**
   * Begins a tree. `extra` becomes true in the same transaction.
   * @throws {Refusal} when the request names what does not exist
   */
  async submit(
    request: TreeRequest,
    extra: (tree_id: string) => Unit = () => [],
  ): Promise<{ id: string; result: UnitResult }> {
    const defaults = { timeout_seconds: this.config.timeout_seconds };
    const now = this.clock.now();
    const { id, root_id, unit } = await newTree(
      this.#store.read,
      request,
      defaults,
      this.ids,
      now,
    );
    const result = await this.#store.commit([...unit, ...extra(id)]);
    if (result.ok) {
      const seconds = request.timeout_seconds ?? defaults.timeout_seconds;
      this.#watch.expect(seconds * 1000, (request.budget?.wall_seconds ?? Infinity) * 1000);
      this.events.publish(id);
      const priority = request.priority ?? 5;
      this.#scheduler.wake({ address: root_id, tree_id: id, priority, urgent: false });
    }
    return { id, result };
  }

  /** Commits a command's unit and wakes whom it concerns. */
  async command(
    unit: Unit,
    concerned: { address: string; tree_id: string; priority: number },
  ): Promise<UnitResult> {
    const result = await this.#store.commit(unit);
    if (result.ok) {
      this.events.publish(concerned.tree_id);
      this.#scheduler.wake({ ...concerned, urgent: false });
    }
    return result;
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
  }

  async #start(): Promise<void> {
    const { config, clock, ids, events, cells } = this;
    const { log } = config;
    const { provider = null, models } = config;
    const patience = { ...PATIENCE, ...config.patience };
    const gateway = new GatewayDoor(
      config.playbooks,
      provider,
      patience,
      config.cassette,
      models,
    );
    this.#gateway = gateway;
    const files = new FilesDoor(config.workspaces);
    const wake = (runnable: Parameters<Scheduler["wake"]>[0]) => this.#scheduler.wake(runnable);
    const drop = (addresses: readonly string[]) => this.#scheduler.drop(addresses);
    const parts = (): Parts => ({
      store: this.#store,
      gateway,
      files,
      tools: this.#tools,
      outputs: this.outputs,
      drafts: this.drafts,
      provider,
      models,
      patience,
      containment: config.containment,
      events,
      clock,
      ids,
      log,
      check_interval_ms: config.check_interval_seconds * 1000,
    });
    // Neither needs the database: they start beside it.
    const early = {
      gateway: new HeadStart(() => gateway.open(), firstOf(config.root, "gateway")),
      cell: new HeadStart((id) => cells.open(id), firstOf(config.root, "cell")),
    };
    const starters: Record<string, Starter> = {
      store: async () => {
        this.#store = await openStore(config.database_url);
        await config.onOpen(this.#store);
        // The data folder's lock says that whoever claimed as this node before is dead.
        await this.#store.commit(releaseNode(config.node_id));
        const store = this.#store;
        return { gone: store.gone, stop: () => store.close() };
      },
      gateway: early.gateway.start,
      files: () => files.open(),
      tools: () => {
        const { sockets, scratch, code, layers } = config;
        this.#tools = new ToolCells({ sockets, scratch, code, layers }, clock, log);
        return Promise.resolve(this.#tools);
      },
      cell: early.cell.start,
      scheduler: (): Promise<Child> => {
        const performing = new Performers(parts(), { wake, drop });
        this.#scheduler = new Scheduler({
          ...parts(),
          cells,
          performing,
          owner: config.node_id,
          onStuck: () => this.#watch.expect(0),
          slots: config.slots,
        });
        return Promise.resolve(this.#scheduler);
      },
      watch: () => {
        const { store, check_interval_ms } = parts();
        const loop = { wake, drop };
        this.#watch = new Watch({ store, clock, ids, news: events, loop, log, check_interval_ms });
        return Promise.resolve(this.#watch);
      },
    };
    this.#supervisor = new Supervisor(config.root, starters, clock, log);
    cells.onFull = (id) => {
      this.#supervisor.find("cells")?.add(id, "cell").catch((error: Error) => {
        log(`Cannot start one cell more: ${error.message}`);
      });
    };
    try {
      await this.#supervisor.start();
    } finally {
      await Promise.all([early.gateway.end(), early.cell.end()]);
    }
    cells.reserve(config.slots);
  }
}

/** Id of the supervision tree's first child of a kind; null when it has none. */
function firstOf(spec: SupervisorSpec, kind: string): string | null {
  for (const child of spec.children) {
    if (child.type === "worker" && child.kind === kind) return child.id;
    const below = child.type === "supervisor" ? firstOf(child, kind) : null;
    if (below !== null) return below;
  }
  return null;
}

/** Starts the first child of a kind before it is its turn. */
class HeadStart {
  #first: Promise<Child> | null;

  /** @param id the child's; null when nobody will want one */
  constructor(readonly open: Starter, id: string | null) {
    this.#first = id === null ? null : open(id);
    // Whose turn it is hears of it.
    this.#first?.catch(() => {});
  }

  readonly start: Starter = (id) => {
    const first = this.#first ?? this.open(id);
    this.#first = null;
    return first;
  };

  /** Nobody wanted it: those before it failed. */
  async end(): Promise<void> {
    const unwanted = await this.#first?.catch(() => null);
    await unwanted?.stop();
  }
}
