/** A kernel in the test's own process, over a folder of the test's, with kinds of actors of its own. */
import { root } from "../../actors/root.ts";
import { enqueue } from "../../db/envelopes.ts";
import { openStore, type Store } from "../../db/store.ts";
import { addTask } from "../../db/tasks.ts";
import { addTree } from "../../db/trees.ts";
import type { Unit, UnitResult } from "../../db/unit.ts";
import { boot, type BootConfig } from "../../runtime/boot.ts";
import { commitAndTell } from "../../runtime/commands/commit.ts";
import { describeLayers, type Layers, probeLayers } from "../../runtime/confined/sandbox.ts";
import { PERSON, type VerbOf } from "../../runtime/core/command.ts";
import type { Containment } from "../../runtime/core/config.ts";
import { PATIENCE, type Patience } from "../../runtime/core/model/patience.ts";
import type { AtWork, Kernel } from "../../runtime/kernel.ts";
import { type Clock, systemClock } from "../../runtime/ports.ts";
import { type Machine, type RealPorts, realPorts } from "../../runtime/real_ports.ts";
import { type Content, newDatabase } from "./database.ts";

export interface TestOptions extends Partial<Omit<Machine, "kinds" | "patience">> {
  readonly containment?: Containment;
  readonly slots?: number;
  readonly patience?: Partial<Patience>;
  readonly predecessor_died?: boolean;
  /** Of a database that is not there yet. */
  readonly database?: Content;
  readonly onOpen?: BootConfig["onOpen"];
  /** What the kernel goes by; its processes go by the machine's. */
  readonly clock?: Clock;
  /** Stands between the kernel and its store. */
  readonly between?: (store: Store) => Store;
}

/** The kernel, and what of its inside a test may look at or disturb. */
export interface TestKernel extends Kernel {
  readonly store: Store;
  readonly ports: RealPorts;
  readonly cells: RealPorts["cells"];
  readonly ids: RealPorts["ids"];
  readonly tools: RealPorts["tools"];
  readonly gateway: RealPorts["model"];
  readonly load: AtWork["agents"];
  /** Begins a tree. */
  submit(request: Omit<VerbOf<"begin">, "verb">): Promise<{ id: string }>;
  /** Commits a unit of the test's own and wakes whom it concerns. */
  command(
    unit: Unit,
    concerned: { address: string; tree_id: string; priority: number },
  ): Promise<UnitResult>;
}

export async function startKernel(
  folder: string,
  kinds: Record<string, string>,
  options: TestOptions = {},
): Promise<TestKernel> {
  await Deno.mkdir(`${folder}/workspaces`, { recursive: true });
  await Deno.mkdir(`${folder}/scratch`, { recursive: true });
  await Deno.mkdir(`${folder}/trash`, { recursive: true });
  const {
    slots = 3,
    containment = "as_available",
    database = "empty",
    onOpen,
    between,
    clock = systemClock,
    predecessor_died: _,
    ...differing
  } = options;
  const path = `${folder}/troupe.db`;
  await newDatabase(path, database);
  const layers: Layers = options.layers ?? await probeLayers();
  const patience = { ...PATIENCE, ...options.patience };
  const machine: Machine = {
    database_url: `file:${path}`,
    workspaces: `${folder}/workspaces`,
    sockets: folder,
    scratch: `${folder}/scratch`,
    trash: `${folder}/trash`,
    code: decodeURIComponent(new URL("../../", import.meta.url).pathname),
    kinds,
    spare: {},
    playbooks: [],
    provider: null,
    cassette: null,
    models: new Map(),
    log: () => {},
    ...differing,
    layers,
    patience,
  };
  let store!: Store;
  const ports: RealPorts = {
    ...realPorts(machine),
    clock,
    openStore: async () => {
      store = await openStore(machine.database_url);
      return between ? between(store) : store;
    },
  };
  const { kernel, load, ...committing } = await boot(ports, {
    root,
    node_id: "test",
    predecessor_died: options.predecessor_died ?? false,
    slots,
    timeout_seconds: 300,
    check_interval_seconds: 60,
    models: machine.models,
    patience,
    about: {
      playbooks: machine.playbooks,
      provider: machine.provider,
      replays: machine.cassette?.mode === "replay",
      containment: {
        mode: containment,
        layers: { ...layers },
        summary: describeLayers(layers, containment),
      },
    },
    onOpen: onOpen ?? (() => Promise.resolve()),
  });
  const opened = Object.assign(kernel, {
    store,
    ports,
    cells: ports.cells,
    ids: ports.ids,
    tools: ports.tools,
    gateway: ports.model,
    async submit(request: Omit<VerbOf<"begin">, "verb">) {
      const done = await kernel.dispatch({ verb: "begin", ...request }, PERSON);
      if (!done.ok) throw new Error(done.reason);
      return { id: done.answer.tree_id };
    },
    command(unit: Unit, whom: { address: string; tree_id: string; priority: number }) {
      const wake = [{ ...whom, urgent: false }];
      return commitAndTell(committing, unit, () => ({ trees: [whom.tree_id], wake }));
    },
  });
  // It is asked for at each look.
  return Object.defineProperty(opened, "load", { get: load }) as typeof opened & TestKernel;
}

interface FirstMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Begins a tree whose root is an actor of this kind, with its first message. */
export async function beginActor(kernel: TestKernel, kind: string, message: FirstMessage) {
  const begun = newActor(kernel, kind, message);
  await kernel.command(begun.unit, { ...begun, priority: 5 });
  return begun;
}

/** The unit of work that begins such a tree, for who wants to watch it from before its beginning. */
export function newActor(
  kernel: TestKernel,
  kind: string,
  message: FirstMessage,
): { tree_id: string; address: string; unit: Unit } {
  const tree_id = kernel.ids.next();
  const address = kernel.ids.next();
  const now = Date.now();
  const tree = {
    id: tree_id,
    root_id: address,
    instruction: kind,
    mode: "automatic",
    priority: 5,
    after_task: "none",
    budget: {},
    timeout_seconds: 300,
  } as const;
  const task = {
    id: address,
    tree_id,
    parent_id: null,
    call_id: null,
    effect_key: null,
    purpose: "root",
    agent: kind,
    agent_version: 0,
    instruction: kind,
    depth: 0,
    timeout_seconds: 300,
  } as const;
  const first = { ...message, address };
  const unit = [
    addTree(tree, now),
    ...addTask(task, kind, now),
    enqueue({ id: kernel.ids.next(), tree_id, to: address, from: "test", message: first }, now),
  ];
  return { tree_id, address, unit };
}
