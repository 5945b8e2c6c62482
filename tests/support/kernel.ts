/** A kernel in the test's own process, over a folder of the test's, with kinds of actors of its own. */
import { root } from "../../actors/root.ts";
import { addTask } from "../../db/tasks.ts";
import { addTree } from "../../db/trees.ts";
import { enqueue } from "../../db/envelopes.ts";
import type { Unit } from "../../db/unit.ts";
import { Kernel, type KernelConfig } from "../../runtime/kernel.ts";
import { probeLayers } from "../../runtime/confined/sandbox.ts";

export async function startKernel(
  folder: string,
  kinds: Record<string, string>,
  options: Partial<Omit<KernelConfig, "kinds">> = {},
): Promise<Kernel> {
  await Deno.mkdir(`${folder}/workspaces`, { recursive: true });
  await Deno.mkdir(`${folder}/scratch`, { recursive: true });
  return await Kernel.start({
    database_url: `file:${folder}/troupe.db`,
    node_id: "test",
    workspaces: `${folder}/workspaces`,
    sockets: folder,
    scratch: `${folder}/scratch`,
    layers: options.layers ?? await probeLayers(),
    containment: "as_available",
    code: decodeURIComponent(new URL("../../", import.meta.url).pathname),
    slots: 3,
    timeout_seconds: 300,
    check_interval_seconds: 60,
    root,
    kinds,
    spare: {},
    playbooks: [],
    models: new Map(),
    log: () => {},
    onOpen: () => Promise.resolve(),
    ...options,
  });
}

interface FirstMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Begins a tree whose root is an actor of this kind, with its first message. */
export async function beginActor(kernel: Kernel, kind: string, message: FirstMessage) {
  const begun = newActor(kernel, kind, message);
  await kernel.command(begun.unit, { ...begun, priority: 5 });
  return begun;
}

/** The unit of work that begins such a tree, for who wants to watch it from before its beginning. */
export function newActor(
  kernel: Kernel,
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
