/**
 * Who runs next. Trees that have begun share the slots by stride scheduling: each has a pass that grows
 * by 1/weight whenever one of its actors is picked, and the lowest pass goes first, so a tree of priority
 * 9 gets ten turns for one of priority 0, and none starves. Within a tree the longest waiting actor goes
 * first. Source: Waldspurger and Weihl, "Stride Scheduling", 1995.
 *
 * Trees that have not begun stand in one line: the higher priority first, then the older, and a minute of
 * waiting counts as one step of priority. The line as a whole takes turns with the begun trees, with the
 * weight of its first one: so a begun tree never waits for the whole line, nor the line for all the begun.
 */
import { DRY_TREES_MAX, PRIORITY_STEP_MS } from "./limits.ts";
import { Heap } from "./heap.ts";
import type { Address } from "./protocol.ts";

/** An actor with something to do. */
export interface Runnable {
  readonly address: Address;
  readonly tree_id: string;
  /** 0 to 9, higher runs more often. */
  readonly priority: number;
  /** Runs beside the slots: it supervises one that may hold the last of them. */
  readonly urgent: boolean;
  /** Only of a tree that has not begun: when it was handed in, ms since 1970. */
  readonly unbegun_since?: number;
}

interface Begun {
  readonly id: string;
  pass: number;
  /** Among trees of the same pass, the one that got there first goes first. */
  order: number;
  /** In the order in which they became runnable; a tree run dry keeps its pass until others reach it. */
  readonly waiting: Map<Address, Runnable>;
}

interface Unbegun {
  readonly runnable: Runnable;
  /** Does not change by waiting, for each waits at the same speed. */
  readonly rank: number;
  readonly order: number;
}

/** The queue of runnable actors. Each operation is O(log trees). */
export class Schedule {
  readonly #trees = new Map<string, Begun>();
  readonly #turns = new Heap<Begun>((one, other) =>
    one.pass < other.pass || (one.pass === other.pass && one.order < other.order)
  );
  readonly #line = new Heap<Unbegun>((one, other) =>
    one.rank < other.rank || (one.rank === other.rank && one.order < other.order)
  );
  /** Where each actor waits: in its tree, or in the line. */
  readonly #places = new Map<Address, Begun | Unbegun>();
  #in_line = 0;
  /** The pass of the line. */
  #line_pass = 0;
  /** The pass of who ran last: a tree that joins starts there, with no credit saved up. */
  #now = 0;
  #order = 0;

  get size(): number {
    return this.#places.size;
  }

  /** Adds an actor; one that waits already keeps its place. */
  add(runnable: Runnable): void {
    const { address, tree_id, unbegun_since } = runnable;
    if (this.#places.has(address)) return;
    let tree = this.#trees.get(tree_id);
    if (unbegun_since !== undefined && !tree) {
      const rank = unbegun_since - runnable.priority * PRIORITY_STEP_MS;
      const unbegun = { runnable, rank, order: this.#order++ };
      if (this.#in_line++ === 0) this.#line_pass = Math.max(this.#line_pass, this.#now);
      this.#line.add(unbegun);
      this.#places.set(address, unbegun);
      return;
    }
    tree ??= this.#join(tree_id, this.#now);
    tree.waiting.set(address, runnable);
    this.#places.set(address, tree);
  }

  remove(address: Address): void {
    const place = this.#places.get(address);
    if (!place) return;
    this.#places.delete(address);
    // Whoever is left behind in a heap is passed over when it comes first.
    if ("waiting" in place) place.waiting.delete(address);
    else this.#in_line--;
  }

  /** Takes the next actor, or null. */
  take(): Runnable | null {
    if (this.size === 0) return null;
    const tree = this.#firstTree();
    const unbegun = this.#firstInLine();
    const runnable = unbegun && !(tree && tree.pass <= this.#line_pass)
      ? this.#begin(unbegun)
      : this.#turn(tree!);
    this.#places.delete(runnable.address);
    this.#forgetTheDry();
    return runnable;
  }

  #turn(tree: Begun): Runnable {
    const [runnable] = tree.waiting.values();
    tree.waiting.delete(runnable.address);
    this.#turns.take();
    this.#now = tree.pass;
    tree.pass += 1 / (runnable.priority + 1);
    tree.order = this.#order++;
    this.#turns.add(tree);
    return runnable;
  }

  #begin({ runnable }: Unbegun): Runnable {
    const { tree_id, priority } = runnable;
    this.#line.take();
    this.#in_line--;
    this.#now = this.#line_pass;
    this.#line_pass += 1 / (priority + 1);
    this.#join(tree_id, this.#line_pass);
    return runnable;
  }

  #join(id: string, pass: number): Begun {
    const tree = { id, pass, order: this.#order++, waiting: new Map() };
    this.#trees.set(id, tree);
    this.#turns.add(tree);
    return tree;
  }

  /** The next tree with somebody waiting; those run dry before it have been reached by it. */
  #firstTree(): Begun | undefined {
    if (this.size === this.#in_line) return undefined;
    for (;;) {
      const tree = this.#turns.first()!;
      if (tree.waiting.size > 0) return tree;
      this.#turns.take();
      this.#trees.delete(tree.id);
    }
  }

  #firstInLine(): Unbegun | undefined {
    if (this.#in_line === 0) return undefined;
    for (;;) {
      const unbegun = this.#line.first()!;
      if (this.#places.get(unbegun.runnable.address) === unbegun) return unbegun;
      this.#line.take();
    }
  }

  /** Trees run dry whose pass was reached; and where nobody waits, all of them before they are too many. */
  #forgetTheDry(): void {
    for (;;) {
      const tree = this.#turns.first();
      if (!tree || tree.waiting.size > 0 || tree.pass > this.#now) break;
      this.#turns.take();
      this.#trees.delete(tree.id);
    }
    if (this.size > 0 || this.#trees.size <= DRY_TREES_MAX) return;
    this.#trees.clear();
    this.#turns.clear();
  }
}
