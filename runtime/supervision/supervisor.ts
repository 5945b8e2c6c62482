/**
 * Brings the supervision tree of `actors/root.ts` to life: starts children in order, watches them,
 * and carries out what `core/supervision.ts` decides when one dies.
 */
import {
  afterDeath,
  type ChildSpec,
  type Strategy,
  type SupervisorSpec,
  type WorkerSpec,
} from "../core/supervision.ts";
import type { Child, Clock, Log, Starter } from "../ports.ts";

/** A supervision tree as it is now, for the system page. */
export type Supervised =
  & {
    readonly id: string;
    readonly state: "running" | "starting" | "stopped";
    readonly restarts: number;
  }
  & ({ readonly type: "worker"; readonly kind: string } | {
    readonly type: "supervisor";
    readonly strategy: Strategy;
    readonly children: readonly Supervised[];
  });

interface Running {
  readonly child: Child;
  /** True once it is being stopped on purpose. */
  leaving: boolean;
}

export class Supervisor implements Child {
  readonly gone: Promise<string | null>;
  readonly #running = new Map<string, Running>();
  readonly #restarted = new Map<string, number>();
  #children: ChildSpec[];
  #restarts: readonly number[] = [];
  #stopping = false;
  #end!: (reason: string | null) => void;
  /** Deaths are dealt with one after the other, in the order in which they were seen. */
  #before: Promise<void> = Promise.resolve();

  constructor(
    readonly spec: SupervisorSpec,
    readonly starters: Readonly<Record<string, Starter>>,
    readonly clock: Clock,
    readonly log: Log,
  ) {
    this.#children = [...spec.children];
    this.gone = new Promise((resolve) => this.#end = resolve);
  }

  /**
   * Starts all children in order.
   * @throws what the first child that does not start throws, after the others are stopped again
   */
  async start(): Promise<this> {
    try {
      for (const spec of this.#children) await this.#startChild(spec);
    } catch (error) {
      await this.stop();
      throw error;
    }
    return this;
  }

  /** Starts a child that the tree does not name, such as one cell more. It is `temporary`. */
  async add(id: string, kind: string): Promise<void> {
    const spec: WorkerSpec = { type: "worker", id, kind, restart: "temporary" };
    this.#children.push(spec);
    await this.#startChild(spec);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { id } of this.#children.toReversed()) await this.#stopChild(id);
    this.#end(null);
  }

  /** The supervisor of this id, somewhere below or here. */
  find(id: string): Supervisor | null {
    if (this.spec.id === id) return this;
    for (const { child } of this.#running.values()) {
      const found = child instanceof Supervisor ? child.find(id) : null;
      if (found) return found;
    }
    return null;
  }

  look(): Supervised {
    return {
      id: this.spec.id,
      type: "supervisor",
      strategy: this.spec.strategy,
      state: this.#stopping ? "stopped" : "running",
      restarts: 0,
      children: this.#children.map((spec): Supervised => {
        const running = this.#running.get(spec.id);
        const restarts = this.#restarted.get(spec.id) ?? 0;
        if (running?.child instanceof Supervisor) return { ...running.child.look(), restarts };
        const { id } = spec;
        const state = running ? "running" : "starting";
        return spec.type === "worker"
          ? { id, type: spec.type, kind: spec.kind, state, restarts }
          : { id, type: spec.type, strategy: spec.strategy, state, restarts, children: [] };
      }),
    };
  }

  async #startChild(spec: ChildSpec): Promise<void> {
    const child = spec.type === "supervisor"
      ? await new Supervisor(spec, this.starters, this.clock, this.log).start()
      : await this.#starter(spec)(spec.id);
    const running: Running = { child, leaving: false };
    this.#running.set(spec.id, running);
    child.gone.then((reason) => {
      if (running.leaving || this.#stopping) return;
      this.#running.delete(spec.id);
      this.#dealWith(spec, reason);
    });
  }

  #starter({ kind }: WorkerSpec): Starter {
    const starter = this.starters[kind];
    if (!starter) throw new Error(`The supervision tree names an unknown kind of child: ${kind}`);
    return starter;
  }

  async #stopChild(id: string): Promise<void> {
    const running = this.#running.get(id);
    if (!running) return;
    running.leaving = true;
    this.#running.delete(id);
    await running.child.stop();
  }

  #dealWith(dead: ChildSpec, reason: string | null): void {
    this.#before = this.#before.then(() => this.#onDeath(dead, reason)).catch((error: Error) => {
      // Who cannot carry out a verdict has died itself: whoever is above deals with that.
      this.#stopping = true;
      this.#end(`it could not deal with the death of ${dead.id}: ${error.message}`);
    });
  }

  async #onDeath(dead: ChildSpec, reason: string | null): Promise<void> {
    if (this.#stopping) return;
    const spec = { ...this.spec, children: this.#children };
    const verdict = afterDeath(spec, dead.id, reason !== null, this.#restarts, this.clock.now());
    if (reason !== null) this.log(`${dead.id} died: ${reason}`);
    switch (verdict.verdict) {
      case "leave":
        this.#children = this.#children.filter(({ id }) => id !== dead.id);
        return;
      case "escalate":
        this.#stopping = true;
        for (const { id } of this.#children.toReversed()) await this.#stopChild(id);
        this.#end(verdict.reason);
        return;
      case "restart":
        this.#restarts = verdict.restarts;
        await this.#restart(verdict.ids);
    }
  }

  async #restart(ids: readonly string[]): Promise<void> {
    for (const id of ids.toReversed()) await this.#stopChild(id);
    for (const id of ids) {
      const spec = this.#children.find((child) => child.id === id)!;
      this.#restarted.set(id, (this.#restarted.get(id) ?? 0) + 1);
      try {
        await this.#startChild(spec);
      } catch (error) {
        // A child that does not start has died at once; intensity bounds how often this repeats.
        this.#dealWith(spec, (error as Error).message);
        return;
      }
    }
  }
}
