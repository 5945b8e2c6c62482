/**
 * Brings the supervision tree of `actors/root.ts` to life: starts children in order, watches them,
 * and carries out what `core/supervision.ts` decides when one dies.
 */
import {
  afterDeath,
  type ChildSpec,
  type Supervised,
  type SupervisorSpec,
  type WorkerSpec,
} from "../core/supervision.ts";
import type { Child, Clock, Log, Starter } from "../ports.ts";
import { reasonOf } from "../core/reason.ts";

interface StartedChild {
  readonly child: Child;
  /** `leaving`: it is being stopped on purpose. `dead`: its death waits for its turn to be dealt with. */
  state: "up" | "leaving" | "dead";
}

export class Supervisor implements Child {
  readonly gone: Promise<string | null>;
  readonly #running = new Map<string, StartedChild>();
  /** Starts under way: a stop waits for them, or they would leave a child behind. */
  readonly #starting = new Set<Promise<Child>>();
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
      for (const spec of this.#children) {
        if (this.#stopping) break;
        await this.#startChild(spec);
      }
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
    try {
      await this.#startChild(spec);
    } catch (error) {
      this.#forget(id);
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    // A restart under way comes to its end, and starts nothing more.
    await this.#before;
    await this.#stopAll();
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
        const state = running && running.state !== "dead" ? "running" : "starting";
        return spec.type === "worker"
          ? { id, type: spec.type, kind: spec.kind, state, restarts }
          : { id, type: spec.type, strategy: spec.strategy, state, restarts, children: [] };
      }),
    };
  }

  async #startChild(spec: ChildSpec): Promise<void> {
    const starting = spec.type === "supervisor"
      ? new Supervisor(spec, this.starters, this.clock, this.log).start()
      : this.#starter(spec)(spec.id);
    this.#starting.add(starting);
    try {
      const running: StartedChild = { child: await starting, state: "up" };
      this.#running.set(spec.id, running);
      running.child.gone.then((reason) => {
        if (running.state !== "up" || this.#stopping) return;
        running.state = "dead";
        this.#dealWith(spec, reason, running);
      });
    } finally {
      this.#starting.delete(starting);
    }
  }

  #starter({ kind }: WorkerSpec): Starter {
    const starter = this.starters[kind];
    if (!starter) throw new Error(`The supervision tree names an unknown kind of child: ${kind}`);
    return starter;
  }

  async #stopChild(id: string): Promise<void> {
    const running = this.#running.get(id);
    if (!running) return;
    this.#running.delete(id);
    if (running.state === "dead") return;
    running.state = "leaving";
    await running.child.stop();
  }

  /** Stops everything, whatever becomes of one of them; those that are just starting too. */
  async #stopAll(): Promise<void> {
    this.#stopping = true;
    while (this.#starting.size > 0) await Promise.allSettled(this.#starting);
    for (const { id } of this.#children.toReversed()) {
      await this.#stopChild(id).catch(({ message }: Error) =>
        this.log(`${id} does not stop: ${message}`)
      );
    }
  }

  #forget(id: string): void {
    this.#children = this.#children.filter((child) => child.id !== id);
  }

  /** @param dead null for a child that did not start */
  #dealWith(spec: ChildSpec, reason: string | null, dead: StartedChild | null): void {
    this.#before = this.#before.then(async () => {
      // Another's death has taken it along meanwhile: its successor is well.
      if (this.#stopping || dead && this.#running.get(spec.id) !== dead) return;
      await this.#onDeath(spec, reason).catch(({ message }: Error) =>
        // Who cannot carry out a verdict has died itself: whoever is above deals with that.
        this.#escalate(`it could not deal with the death of ${spec.id}: ${message}`)
      );
    });
  }

  async #onDeath(dead: ChildSpec, reason: string | null): Promise<void> {
    const spec = { ...this.spec, children: this.#children };
    const verdict = afterDeath(spec, dead.id, reason !== null, this.#restarts, this.clock.now());
    if (reason !== null) this.log(`${dead.id} died: ${reason}`);
    this.#running.delete(dead.id);
    switch (verdict.verdict) {
      case "leave":
        return this.#forget(dead.id);
      case "escalate":
        return await this.#escalate(verdict.reason);
      case "restart":
        this.#restarts = verdict.restarts;
        await this.#restart(verdict.stops, verdict.ids);
    }
  }

  async #escalate(reason: string): Promise<void> {
    await this.#stopAll();
    this.#end(reason);
  }

  async #restart(stops: readonly string[], ids: readonly string[]): Promise<void> {
    for (const id of stops.toReversed()) {
      // What cannot be stopped must not run beside its successor: that is escalated.
      await this.#stopChild(id);
      if (!ids.includes(id)) this.#forget(id);
    }
    for (const id of ids) {
      if (this.#stopping) return;
      const spec = this.#children.find((child) => child.id === id)!;
      this.#restarted.set(id, (this.#restarted.get(id) ?? 0) + 1);
      try {
        await this.#startChild(spec);
      } catch (error) {
        // A child that does not start has died at once; intensity bounds how often this repeats.
        return this.#dealWith(spec, reasonOf(error), null);
      }
    }
  }
}
