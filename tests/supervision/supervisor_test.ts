/** The supervisor on its own: its children are played by the test, and the clock is moved by hand. */
import assert from "node:assert/strict";
import type {
  ChildSpec,
  Strategy,
  SupervisorSpec,
  WorkerSpec,
} from "../../runtime/core/supervision.ts";
import type { Child, Starter } from "../../runtime/ports.ts";
import { Supervisor } from "../../runtime/supervision/supervisor.ts";
import { HandClock } from "../support/clock.ts";
import { until } from "../support/until.ts";

const PERIOD_MS = 1_000;

/** Notes what is done to its children, and lets the test decide what becomes of them. */
class Troupe {
  readonly clock = new HandClock();
  /** In order, such as `start a`, `stop a`. */
  readonly told: string[] = [];
  readonly logged: string[] = [];
  readonly alive = new Map<string, Played[]>();
  /** Starts of these wait until the test lets them. */
  readonly held = new Map<string, PromiseWithResolvers<void>>();
  /** Starts of these fail, so many times. */
  readonly broken = new Map<string, number>();
  readonly supervisor: Supervisor;

  constructor(spec: SupervisorSpec) {
    const start: Starter = async (id) => {
      this.told.push(`start ${id}`);
      await this.held.get(id)?.promise;
      const broken = this.broken.get(id) ?? 0;
      this.broken.set(id, broken - 1);
      if (broken > 0) throw new Error(`${id} does not start`);
      const child = new Played(id, this);
      this.alive.set(id, [...this.alive.get(id) ?? [], child]);
      return child;
    };
    this.supervisor = new Supervisor(spec, { played: start }, this.clock, (line) => {
      this.logged.push(line);
    });
  }

  /** Who lives; a successor beside its forerunner would be named twice. */
  get living(): string[] {
    return [...this.alive.values()].flat().map(({ id }) => id);
  }

  hold(id: string): PromiseWithResolvers<void> {
    const held = Promise.withResolvers<void>();
    this.held.set(id, held);
    return held;
  }

  /** What is done from here on. */
  forget(): void {
    this.told.length = 0;
  }

  one(id: string): Played {
    const [child, ...others] = this.alive.get(id) ?? [];
    assert.ok(child && others.length === 0, `${others.length + 1} of ${id} live`);
    return child;
  }

  async does(...expected: string[]): Promise<void> {
    await until(expected.join(", "), () => this.told.length >= expected.length);
    assert.deepEqual(this.told, expected);
  }

  async settled(...living: string[]): Promise<void> {
    await until(
      `the life of ${living}`,
      () => JSON.stringify(this.living.toSorted()) === JSON.stringify(living.toSorted()),
    );
  }
}

class Played implements Child {
  readonly gone: Promise<string | null>;
  #end!: (reason: string | null) => void;
  /** What its stop waits for. */
  lingers: Promise<void> = Promise.resolve();

  constructor(readonly id: string, readonly troupe: Troupe) {
    this.gone = new Promise((resolve) => this.#end = resolve);
  }

  dies(reason: string | null = "a fault"): void {
    this.#leave();
    this.#end(reason);
  }

  async stop(): Promise<void> {
    this.troupe.told.push(`stop ${this.id}`);
    await this.lingers;
    this.#leave();
    this.#end(null);
  }

  #leave(): void {
    const others = this.troupe.alive.get(this.id)!.filter((one) => one !== this);
    this.troupe.alive.set(this.id, others);
  }
}

function worker(id: string, more: Partial<WorkerSpec> = {}): WorkerSpec {
  return { type: "worker", id, kind: "played", restart: "permanent", ...more };
}

function spec(
  strategy: Strategy,
  children: readonly ChildSpec[] = ["a", "b", "c"].map((id) => worker(id)),
  id = "top",
): SupervisorSpec {
  const intensity = { restarts_max: 2, period_ms: PERIOD_MS };
  return { type: "supervisor", id, strategy, intensity, children };
}

async function started(of: SupervisorSpec): Promise<Troupe> {
  const troupe = new Troupe(of);
  await troupe.supervisor.start();
  return troupe;
}

Deno.test("children start in order and stop in the reverse order", async () => {
  const troupe = await started(spec("one_for_one"));
  assert.deepEqual(troupe.told, ["start a", "start b", "start c"]);
  troupe.forget();
  await troupe.supervisor.stop();
  assert.deepEqual(troupe.told, ["stop c", "stop b", "stop a"]);
  assert.equal(await troupe.supervisor.gone, null);
});

Deno.test("a child that does not start at the beginning ends those before it, and the start fails with its reason", async () => {
  const troupe = new Troupe(spec("one_for_one"));
  troupe.broken.set("c", 1);
  await assert.rejects(troupe.supervisor.start(), /c does not start/);
  assert.deepEqual(troupe.told, ["start a", "start b", "start c", "stop b", "stop a"]);
});

Deno.test("one_for_one: the dead child alone starts anew", async () => {
  const troupe = await started(spec("one_for_one"));
  troupe.forget();
  troupe.one("b").dies();
  await troupe.does("start b");
  await troupe.settled("a", "b", "c");
  assert.deepEqual(troupe.logged, ["b died: a fault"]);
  await troupe.supervisor.stop();
});

Deno.test("rest_for_one: those after the dead child stop from the last on, then all start in order", async () => {
  const troupe = await started(spec("rest_for_one"));
  troupe.forget();
  troupe.one("a").dies();
  await troupe.does("stop c", "stop b", "start a", "start b", "start c");
  await troupe.settled("a", "b", "c");
  troupe.forget();
  troupe.one("b").dies();
  await troupe.does("stop c", "start b", "start c");
  await troupe.supervisor.stop();
});

Deno.test("one_for_all: all the others stop, then all start in order", async () => {
  const troupe = await started(spec("one_for_all"));
  troupe.forget();
  troupe.one("b").dies();
  await troupe.does("stop c", "stop a", "start a", "start b", "start c");
  await troupe.supervisor.stop();
});

Deno.test("a child is stopped to its end before its successor starts", async () => {
  const troupe = await started(spec("rest_for_one"));
  const lingering = Promise.withResolvers<void>();
  troupe.one("c").lingers = lingering.promise;
  troupe.forget();
  troupe.one("a").dies();
  await troupe.does("stop c");
  assert.deepEqual(troupe.living, ["b", "c"]);
  lingering.resolve();
  await troupe.does("stop c", "stop b", "start a", "start b", "start c");
  await troupe.settled("a", "b", "c");
  await troupe.supervisor.stop();
});

Deno.test("two that die at once start anew once, and a successor is not ended for its forerunner's death", async () => {
  const troupe = await started(spec("rest_for_one"));
  troupe.forget();
  const [a, c] = [troupe.one("a"), troupe.one("c")];
  a.dies();
  c.dies();
  await troupe.does("stop b", "start a", "start b", "start c");
  await troupe.settled("a", "b", "c");
  await troupe.supervisor.stop();
  assert.deepEqual(troupe.logged, ["a died: a fault"]);
});

Deno.test("one restart more than the intensity ends the supervisor with all its children", async () => {
  const troupe = await started(spec("one_for_one"));
  for (let n = 0; n < 2; n++) {
    troupe.one("a").dies();
    await troupe.settled("a", "b", "c");
  }
  troupe.forget();
  troupe.one("a").dies();
  assert.equal(await troupe.supervisor.gone, "top restarted more than 2 times in 1000 ms");
  assert.deepEqual(troupe.told, ["stop c", "stop b"]);
  assert.deepEqual(troupe.living, []);
});

Deno.test("restarts that are a period ago count no more", async () => {
  const troupe = await started(spec("one_for_one"));
  for (let n = 0; n < 6; n++) {
    troupe.one("a").dies();
    await troupe.settled("a", "b", "c");
    troupe.clock.advance(PERIOD_MS / 2);
  }
  await troupe.supervisor.stop();
  assert.equal(await troupe.supervisor.gone, null);
});

Deno.test("a child that does not start counts as a death, and one that starts at last goes on", async () => {
  const troupe = await started(spec("rest_for_one"));
  troupe.forget();
  troupe.broken.set("b", 1);
  troupe.one("a").dies();
  await troupe.does("stop c", "stop b", "start a", "start b", "start b", "start c");
  await troupe.settled("a", "b", "c");
  troupe.broken.set("b", 9);
  troupe.clock.advance(PERIOD_MS);
  troupe.one("b").dies();
  assert.match((await troupe.supervisor.gone)!, /^top restarted more than/);
  assert.deepEqual(troupe.living, []);
});

Deno.test("an end is escalated to the supervisor above, which restarts the one below as one child", async () => {
  const below = spec("one_for_one", [worker("x"), worker("y")], "below");
  const troupe = await started(spec("rest_for_one", [worker("a"), below, worker("c")]));
  for (let n = 0; n < 2; n++) {
    troupe.one("x").dies();
    await troupe.settled("a", "c", "x", "y");
  }
  troupe.forget();
  troupe.one("x").dies();
  await troupe.does("stop y", "stop c", "start x", "start y", "start c");
  await troupe.settled("a", "c", "x", "y");
  assert.equal(troupe.logged.at(-1), "below died: below restarted more than 2 times in 1000 ms");
  // It begins with no restarts of its own.
  troupe.one("x").dies();
  await troupe.settled("a", "c", "x", "y");
  await troupe.supervisor.stop();
});

Deno.test("the death of a significant child ends its supervisor at once", async () => {
  const troupe = await started(
    spec("one_for_one", [worker("a", { significant: true }), worker("b")]),
  );
  troupe.forget();
  troupe.one("a").dies();
  assert.equal(await troupe.supervisor.gone, "a died and cannot be replaced alone");
  assert.deepEqual(troupe.told, ["stop b"]);
});

Deno.test("a temporary child that dies is forgotten, and so is one that another takes along", async () => {
  const troupe = await started(spec("one_for_all", [worker("a")]));
  await troupe.supervisor.add("t", "played");
  troupe.one("t").dies();
  await until(
    "its end",
    () => troupe.supervisor.look().type === "supervisor" && seen(troupe) === "a",
  );
  await troupe.supervisor.add("u", "played");
  troupe.forget();
  troupe.one("a").dies();
  await troupe.does("stop u", "start a");
  await troupe.settled("a");
  assert.equal(seen(troupe), "a");
  await troupe.supervisor.stop();
});

Deno.test("a child that was added and does not start is forgotten, and whoever added it hears why", async () => {
  const troupe = await started(spec("one_for_one", [worker("a")]));
  troupe.broken.set("t", 1);
  await assert.rejects(troupe.supervisor.add("t", "played"), /t does not start/);
  assert.equal(seen(troupe), "a");
  await troupe.supervisor.stop();
});

function seen({ supervisor }: Troupe): string {
  const look = supervisor.look();
  return look.type === "supervisor" ? look.children.map(({ id }) => id).join() : "";
}

Deno.test("a stop in the middle of a restart leaves no child behind and starts no other", async () => {
  const troupe = await started(spec("rest_for_one"));
  const held = troupe.hold("b");
  troupe.forget();
  troupe.one("a").dies();
  await troupe.does("stop c", "stop b", "start a", "start b");
  const stopped = troupe.supervisor.stop();
  held.resolve();
  await stopped;
  assert.deepEqual(troupe.told.slice(4), ["stop b", "stop a"]);
  assert.deepEqual(troupe.living, []);
});

Deno.test("a stop in the middle of a supervisor's restart leaves none of its children behind", async () => {
  const below = spec("one_for_one", [worker("x"), worker("y")], "below");
  const troupe = await started(spec("rest_for_one", [worker("a"), below]));
  const held = troupe.hold("y");
  troupe.one("a").dies();
  await until(
    "its second start",
    () => troupe.told.filter((one) => one === "start y").length === 2,
  );
  const stopped = troupe.supervisor.stop();
  held.resolve();
  await stopped;
  assert.deepEqual(troupe.living, []);
});

Deno.test("a stop while a child is being added leaves it not behind", async () => {
  const troupe = await started(spec("one_for_one", [worker("a")]));
  const held = troupe.hold("t");
  const added = troupe.supervisor.add("t", "played");
  const stopped = troupe.supervisor.stop();
  held.resolve();
  await Promise.all([added, stopped]);
  assert.deepEqual(troupe.living, []);
});

Deno.test("a child that cannot be stopped gets no successor beside it: the supervisor ends", async () => {
  const troupe = await started(spec("rest_for_one"));
  troupe.one("c").lingers = Promise.reject(new Error("its worker hangs"));
  troupe.forget();
  troupe.one("b").dies();
  const reason = "it could not deal with the death of b: its worker hangs";
  assert.equal(await troupe.supervisor.gone, reason);
  assert.deepEqual(troupe.told, ["stop c", "stop a"]);
});

Deno.test("while a child is started anew it is shown as starting, with its restarts", async () => {
  const troupe = await started(spec("one_for_one", [worker("a")]));
  const held = troupe.hold("a");
  const shown = () => {
    const look = troupe.supervisor.look();
    const [{ state, restarts }] = look.type === "supervisor" ? look.children : [];
    return `${state} ${restarts}`;
  };
  assert.equal(shown(), "running 0");
  troupe.one("a").dies();
  await until("its restart", () => shown() === "starting 1");
  held.resolve();
  await until("its life", () => shown() === "running 1");
  await troupe.supervisor.stop();
});
