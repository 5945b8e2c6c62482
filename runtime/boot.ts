/**
 * Puts the kernel together under the supervision tree, out of the ports that it is handed. A part gets
 * the few ports that it needs, by name; one that is restarted is reached through a door, so that nobody
 * holds its predecessor.
 */
import { countInterrupted } from "../db/outbox.ts";
import type { Store } from "../db/store.ts";
import { releaseNode } from "../db/tasks.ts";
import { commitAndTell, type Committing } from "./commands/commit.ts";
import { Liveness } from "./commands/liveness.ts";
import type { Performers } from "./commands/outcome.ts";
import type { ModelTable } from "./core/model/facts.ts";
import type { Patience } from "./core/model/patience.ts";
import type { Address } from "./core/protocol.ts";
import type { Runnable } from "./core/schedule.ts";
import type { SupervisorSpec } from "./core/supervision.ts";
import { type About, type AtWork, Kernel } from "./kernel.ts";
import { Housekeeping } from "./loop/housekeeping.ts";
import { Scheduler } from "./loop/scheduler.ts";
import { Watch } from "./loop/watch.ts";
import { modelPerformer } from "./model/asking.ts";
import { EffectOutbox } from "./outbox/outbox.ts";
import { Drafts } from "./passing/drafts.ts";
import { Events } from "./passing/events.ts";
import { RunningOutputs } from "./passing/outputs.ts";
import type {
  Cells,
  Child,
  Clock,
  Files,
  Gateway,
  Ids,
  Log,
  Loop,
  Random,
  Starter,
  Terminal,
  ToolRunner,
} from "./ports.ts";
import { Supervisor } from "./supervision/supervisor.ts";
import { children, followers } from "./tools/children.ts";
import { files } from "./tools/files.ts";
import { review } from "./tools/review.ts";
import { store as storeTools } from "./tools/store.ts";
import { terminal } from "./tools/terminal.ts";
import { workshop, written } from "./tools/workshop.ts";

/** A part of the world that the supervisor starts, and starts anew when it dies. */
interface Started {
  readonly open: Starter;
}

/** Everything that the kernel takes from the world. */
export interface Ports {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly random: Random;
  readonly log: Log;
  /** Opens what is written down; called once, since a store cannot be replaced alone. */
  readonly openStore: () => Promise<Store>;
  readonly cells: Cells & Started & {
    /** Has as many cells as so many workers need. */
    reserve(workers: number): void;
    /** Set by boot: asks for one cell more, which the supervisor starts. */
    onFull: (id: string) => void;
    readonly size: AtWork["cells"];
  };
  readonly model: Gateway & Started;
  readonly files: Files & Started;
  readonly tools: ToolRunner & Started & { readonly load: AtWork["tool_cells"] };
  readonly terminal: Terminal;
}

export interface BootConfig {
  /** The supervision tree. */
  readonly root: SupervisorSpec;
  /** Who claims: the data folder's node. */
  readonly node_id: string;
  /**
   * Whether the kernel before this one is known to have died of itself: then what it was having performed
   * may be what it died of. One that somebody killed says nothing about that.
   */
  readonly predecessor_died: boolean;
  /** How many actors may run at once. */
  readonly slots: number;
  readonly timeout_seconds: number;
  /** Longest time between two looks for stuck tasks. */
  readonly check_interval_seconds: number;
  readonly about: About;
  readonly models: ModelTable;
  readonly patience: Patience;
  /** Called once the database is open, before anything runs: seeds a new one. */
  readonly onOpen: (store: Store) => Promise<void>;
}

/** What a kernel is made of, for a simulation that looks inside. */
export interface Booted extends Committing {
  readonly kernel: Kernel;
  /** What runs and what waits for a slot. */
  readonly load: () => AtWork["agents"];
}

/**
 * Opens the database, starts the supervision tree and takes up what was under way.
 * @throws {StoreError} when the database cannot be used
 */
export async function boot(ports: Ports, config: BootConfig): Promise<Booted> {
  const { clock, ids, log, cells, model, tools } = ports;
  const { timeout_seconds } = config;
  const events = new Events();
  const whisper = (tree_id: string) => events.whisper(tree_id);
  const outputs = new RunningOutputs(whisper);
  const drafts = new Drafts(whisper);
  const loop = new LoopDoor();
  let store!: Store;
  const reading = () => ({ read: store.read, clock, ids, timeout_seconds });
  const committing = () => ({ store, news: events, loop });

  // Neither needs the database: they start beside it.
  const early = {
    gateway: new HeadStart(model.open, firstOf(config.root, "gateway")),
    cell: new HeadStart(cells.open, firstOf(config.root, "cell")),
  };
  const starters: Record<string, Starter> = {
    store: async () => {
      store = await ports.openStore();
      await config.onOpen(store);
      await takeOver(committing(), config);
      return { gone: store.gone, stop: () => store.close() };
    },
    gateway: early.gateway.start,
    files: ports.files.open,
    tools: tools.open,
    cell: early.cell.start,
    scheduler: () => {
      const outbox = new EffectOutbox(
        { ...committing(), ...reading(), log },
        performersOf({ ...ports, store, drafts, outputs, news: events, loop }, config),
      );
      const scheduler = new Scheduler(
        { ...committing(), cells, outbox, clock, ids, log },
        { owner: config.node_id, slots: config.slots },
      );
      loop.scheduler = scheduler;
      return Promise.resolve({
        gone: scheduler.gone,
        // Whoever comes after it starts with nothing under way.
        stop: async () => {
          loop.scheduler = null;
          await scheduler.stop();
          await outbox.stop();
        },
      });
    },
    watch: () => {
      const look = { check_interval_ms: config.check_interval_seconds * 1000 };
      const watch = new Watch({ ...committing(), clock, ids, timeout_seconds, ...look, log });
      loop.watch = watch;
      return Promise.resolve(watch);
    },
    housekeeping: () => Promise.resolve(new Housekeeping({ ...committing(), clock })),
  };
  const supervisor = new Supervisor(config.root, starters, clock, log);
  cells.onFull = (id) => {
    supervisor.find("cells")?.add(id, "cell").catch((error: Error) => {
      log(`Cannot start one cell more: ${error.message}`);
    });
  };
  try {
    await supervisor.start();
  } finally {
    await Promise.all([early.gateway.end(), early.cell.end()]);
  }
  cells.reserve(config.slots);
  const kernel = new Kernel({
    ...committing(),
    ...reading(),
    events,
    drafts,
    outputs,
    gone: supervisor.gone,
    stop: () => supervisor.stop(),
    about: config.about,
    liveness: new Liveness(committing, clock),
    look: async () => ({
      agents: loop.load,
      cells: cells.size,
      tool_cells: tools.load,
      lanes: await model.views(),
      supervision: supervisor.look(),
    }),
    log,
  });
  return { kernel, load: () => loop.load, ...committing() };
}

/** The data folder's lock says that whoever claimed as this node before is dead. */
async function takeOver(
  committing: Committing,
  { node_id: owner, predecessor_died }: BootConfig,
): Promise<void> {
  const counted = predecessor_died ? [countInterrupted({ owner })] : [];
  const unit = [...counted, ...releaseNode(owner)];
  const result = await commitAndTell(committing, unit, () => ({}));
  if (!result.ok) throw new Error(`Cannot take up what was under way: ${result.reason}`);
}

type Performing =
  & Omit<Ports, "openStore">
  & { readonly store: Store; readonly drafts: Drafts; readonly outputs: RunningOutputs }
  & { readonly news: Events; readonly loop: Loop };

/** Who performs what. */
function performersOf(ports: Performing, config: BootConfig): Performers {
  const { store: { read }, model: gateway, terminal: shell, outputs, tools } = ports;
  const making = { read, tools, files: ports.files, containment: config.about.containment.mode };
  return {
    tools: {
      child: children({ read }),
      review,
      store: storeTools({ read }),
      files: files({ files: ports.files }),
      workshop: workshop(making),
      written: written(making),
      terminal: terminal({ read, terminal: shell, files: ports.files, outputs }),
    },
    ask_model: modelPerformer({ ...ports, gateway }, {
      ...config,
      provider: config.about.provider,
    }),
    start_child: followers({ read }),
  };
}

/** The loop for everybody else: whoever runs actors and looks at the clock at this moment. */
class LoopDoor implements Loop {
  scheduler: Scheduler | null = null;
  watch: Watch | null = null;

  get load(): AtWork["agents"] {
    return this.scheduler?.load ?? { running: 0, runnable: 0, slots: 0 };
  }

  /** While nobody is there, nothing is lost: the watch finds what nobody was told of. */
  wake(runnable: Runnable): void {
    this.scheduler?.wake(runnable);
  }

  drop(addresses: readonly Address[]): void {
    this.scheduler?.drop(addresses);
  }

  expect(timeout_ms: number, wall_ms?: number): void {
    this.watch?.expect(timeout_ms, wall_ms);
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
