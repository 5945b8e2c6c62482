/**
 * Runs the production kernel in a world that a seed draws: `steps` of trouble, then a calm in which
 * everything has to come to its end.
 */
import { root } from "../../actors/root.ts";
import { isSeeded } from "../../db/seeding.ts";
import { boot, type Booted, type Ports } from "../../runtime/boot.ts";
import { seed } from "../../runtime/commands/seed.ts";
import { RETRY_MAX_MS } from "../../runtime/core/limits.ts";
import { PATIENCE } from "../../runtime/core/model/patience.ts";
import { readSeeds, type Seeds } from "../../seeds/mod.ts";
import { cells, type SimulatedCells } from "./cells.ts";
import { Database } from "./database.ts";
import { hands } from "./hands.ts";
import { model } from "./model.ts";
import { Person } from "./person.ts";
import { checkAlways, checkEnd, checkRecovered } from "./rules.ts";
import { drawWeather } from "./weather.ts";
import { settled, World } from "./world.ts";

export interface Simulated {
  readonly seed: number;
  /** What happened, one line each: the same for the same seed. */
  readonly trace: readonly string[];
  /** What must never be, and was. */
  readonly wrongs: readonly string[];
}

/** Steps of the calm at the most: what has not ended by then never will. */
const CALM_STEPS_MAX = 5_000;
/** After so long in the calm whatever had failed was tried again. */
const RECOVERED_MS = 2 * RETRY_MAX_MS;

let seeds: Seeds | null = null;

export async function simulate(drawn_by: number, steps: number): Promise<Simulated> {
  const world = new World(drawn_by);
  const weather = drawWeather(world);
  world.trace.push(`weather ${JSON.stringify(weather)}`);
  const database = await Database.open(world, weather);
  seeds ??= await readSeeds();
  const simulation = new Simulation(world, database, seeds);
  // A promise that nobody heard ends a real kernel.
  const unheard = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    world.wrong(`nobody heard of: ${event.reason?.stack ?? event.reason}`);
  };
  addEventListener("unhandledrejection", unheard);
  try {
    await simulation.run(steps);
  } catch (error) {
    world.wrong(`${(error as Error).stack}`);
  }
  removeEventListener("unhandledrejection", unheard);
  database.close();
  return { seed: drawn_by, trace: world.trace, wrongs: world.wrongs };
}

class Simulation {
  readonly #world: World;
  readonly #database: Database;
  readonly #seeds: Seeds;
  readonly #person: Person;
  /** How often each command was run. */
  readonly #ran = new Map<string, number>();
  readonly #slots: number;
  readonly #predecessors_count: boolean;
  /** From then on nothing that went wrong before is an excuse. */
  #recovered_at = Infinity;
  #kernel:
    | { readonly life: number; readonly booted: Booted | null; readonly cells: SimulatedCells }
    | null = null;

  constructor(world: World, database: Database, seeds: Seeds) {
    this.#world = world;
    this.#database = database;
    this.#seeds = seeds;
    this.#slots = world.between(1, 4);
    this.#predecessors_count = world.chance(30);
    this.#person = new Person(world, database);
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps && !this.#isWrong; step++) await this.#step();
    const world = this.#world;
    world.trace.push("calm");
    this.#recovered_at = world.now + RECOVERED_MS;
    this.#database.calm();
    for (let step = 0; !this.#isOver && !this.#isWrong; step++) {
      if (step > CALM_STEPS_MAX) {
        world.wrong("it does not come to its end");
        break;
      }
      await this.#step();
    }
    if (this.#isWrong) return;
    await this.#stop();
    checkEnd(world, this.#database, this.#person.wanted, this.#ran);
  }

  get #isWrong(): boolean {
    return this.#world.wrongs.length > 0;
  }

  get #isOver(): boolean {
    const { wanted } = this.#person;
    const [{ open }] = this.#database.look<{ open: number }>(
      "SELECT count(*) AS open FROM tasks WHERE ended_at IS NULL",
    );
    return open === 0 && this.#person.idle && wanted.every(({ tree_id }) => tree_id !== null) &&
      this.#kernel?.booted !== null && this.#isAtRest;
  }

  /** Nothing is under way any more in the kernel's memory. */
  get #isAtRest(): boolean {
    const load = this.#kernel?.booted?.load();
    return load !== undefined && load.running === 0 && load.runnable === 0 &&
      this.#kernel!.cells.count() === 0;
  }

  async #step(): Promise<void> {
    if (this.#kernel?.life !== this.#world.life) this.#boot();
    const { writes } = this.#database;
    await this.#world.step();
    if (this.#database.writes === writes) return;
    checkAlways(this.#world, this.#database);
    const load = this.#kernel?.booted?.load();
    if (!load || this.#world.now < this.#recovered_at || this.#database.busy) return;
    checkRecovered(this.#world, this.#database, load.running);
  }

  /** A new kernel, as the launcher starts one. */
  #boot(): void {
    const world = this.#world;
    const database = this.#database;
    const { life, clock, ids } = world;
    const log = (line: string) => {
      if (life === world.life) world.trace.push(`    log: ${line}`);
    };
    const simulated = cells(world, database);
    const ports: Ports = {
      clock,
      ids,
      random: world,
      log,
      openStore: () => Promise.resolve(database.store()),
      cells: simulated.port,
      model: model(world, database),
      ...hands(world, database, this.#ran),
    };
    this.#person.kernel = null;
    this.#kernel = { life, booted: null, cells: simulated };
    const config = {
      root,
      node_id: "simulated",
      predecessor_died: life > 0 && this.#predecessors_count,
      slots: this.#slots,
      timeout_seconds: 300,
      check_interval_seconds: 5,
      models: new Map(),
      patience: PATIENCE,
      about: {
        playbooks: [],
        provider: null,
        replays: false,
        containment: { mode: "as_available", layers: {}, summary: "simulated" },
      },
      onOpen: async (store: Awaited<ReturnType<Ports["openStore"]>>) => {
        if (!await isSeeded(store.read)) await seed(store, this.#seeds, false, world.now);
      },
    } as const;
    boot(ports, config).then(
      (booted) => {
        if (life !== world.life) return;
        world.trace.push("    ready");
        this.#kernel = { life, booted, cells: simulated };
        this.#person.kernel = booted.kernel;
        booted.kernel.gone.then((why) => {
          if (life === world.life && why !== null) world.kill(`it ended by itself: ${why}`);
        });
      },
      (error: Error) => {
        if (life === world.life) world.kill(`it did not start: ${error.message}`);
      },
    );
  }

  /** A stop leaves nothing behind. */
  async #stop(): Promise<void> {
    const world = this.#world;
    let stopped = false;
    this.#kernel!.booted!.kernel.stop().then(() => stopped = true);
    await settled();
    for (let step = 0; !stopped; step++) {
      if (step > CALM_STEPS_MAX) return world.wrong("it does not stop");
      await world.step();
    }
    if (world.waits > 0) world.wrong(`${world.waits} timers are left after the stop`);
  }
}
