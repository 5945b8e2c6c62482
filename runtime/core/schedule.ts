/**
 * Who runs next. Trees share the slots by stride scheduling: each tree has a pass that grows by
 * 1/weight whenever one of its actors is picked, and the lowest pass goes first, so a tree of
 * priority 9 gets ten turns for one of priority 0, and none starves. Within a tree the longest
 * waiting actor goes first. Source: Waldspurger and Weihl, "Stride Scheduling", 1995.
 */
import type { Address } from "./protocol.ts";

/** An actor with something to do. */
export interface Runnable {
  readonly address: Address;
  readonly tree_id: string;
  /** 0 to 9, higher runs more often. */
  readonly priority: number;
  /** Runs beside the slots: it supervises one that may hold the last of them. */
  readonly urgent: boolean;
}

interface Queue {
  pass: number;
  /** In the order in which they became runnable. */
  readonly waiting: Map<Address, Runnable>;
}

/** The queue of runnable actors. Each operation is O(trees) at the most. */
export class Schedule {
  readonly #trees = new Map<string, Queue>();
  #size = 0;
  /** The pass of the tree that ran last: a tree that joins starts there, with no credit saved up. */
  #now = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds an actor; one that waits already keeps its place. */
  add(runnable: Runnable): void {
    let tree = this.#trees.get(runnable.tree_id);
    if (!tree) {
      tree = { pass: this.#now, waiting: new Map() };
      this.#trees.set(runnable.tree_id, tree);
    }
    if (tree.waiting.has(runnable.address)) return;
    if (tree.waiting.size === 0) tree.pass = Math.max(tree.pass, this.#now);
    tree.waiting.set(runnable.address, runnable);
    this.#size++;
  }

  remove(address: Address): void {
    for (const [id, tree] of this.#trees) {
      if (!tree.waiting.delete(address)) continue;
      this.#size--;
      if (tree.waiting.size === 0) this.#trees.delete(id);
      return;
    }
  }

  /** Takes the next actor, or null. */
  take(): Runnable | null {
    let next: Queue | null = null;
    for (const [id, tree] of this.#trees) {
      if (tree.waiting.size === 0) {
        // A tree run dry keeps its pass until the others reach it, or it would gain by coming back.
        if (tree.pass <= this.#now) this.#trees.delete(id);
      } else if (next === null || tree.pass < next.pass) next = tree;
    }
    if (next === null) return null;
    const [runnable] = next.waiting.values();
    next.waiting.delete(runnable.address);
    this.#size--;
    this.#now = next.pass;
    next.pass += 1 / (runnable.priority + 1);
    return runnable;
  }
}
