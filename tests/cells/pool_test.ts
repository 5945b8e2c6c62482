/** The pool and its kill ladder on their own: scripted processes, and a clock that is moved by hand. */
import assert from "node:assert/strict";
import { CellPool } from "../../runtime/cells/pool.ts";
import {
  CELL_LOOK_MS,
  CELL_MEMORY_MAX,
  RESTLESS_LOOKS_MAX,
  SUSPECT_CELLS_MAX,
  TERMINATE_GRACE_MS,
  WORKERS_PER_CELL_MAX,
} from "../../runtime/core/limits.ts";
import type { CellHosts, Child, HostProcess, ProcessUsage } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";

/** A cell's process that says what the test lets it say, and uses so much of each ms. */
class ScriptedHost implements HostProcess {
  readonly gone: Promise<string | null>;
  readonly sent: [worker: number, body: string][] = [];
  doomed = false;
  shares = { cpu: 0, ran: 0, waited: 0 };
  bytes = 50 * 2 ** 20;
  ended_with: string | null = null;
  #end!: (reason: string | null) => void;

  constructor(
    readonly id: string,
    readonly pid: number,
    readonly say: (worker: number, body: Uint8Array) => void,
  ) {
    this.gone = new Promise((resolve) => this.#end = resolve);
  }

  send(worker: number, body: string): void {
    this.sent.push([worker, body]);
  }

  kill(reason: string): void {
    if (this.doomed) return;
    this.doomed = true;
    this.#end(this.ended_with = reason);
  }

  async stop(): Promise<void> {
    this.kill("stopped");
    await this.gone;
  }

  /** It is there, and so are these workers, which have answered all that they were handed. */
  beat(...workers: number[]): void {
    this.#write(0, { t: "beat", workers });
  }

  answer(worker: number, envelope: string): void {
    this.#write(worker, { envelope, state: "{}", effects: [] });
  }

  /** What it was told about its workers. */
  get told(): string[] {
    return this.sent.filter(([worker]) => worker === 0).map(([, body]) => JSON.parse(body))
      .filter(({ t }) => t !== "hello").map(({ t, worker }) => `${t} ${worker}`);
  }

  #write(worker: number, body: unknown): void {
    this.say(worker, new TextEncoder().encode(JSON.stringify(body)));
  }
}

class ScriptedHosts implements CellHosts {
  readonly all: ScriptedHost[] = [];
  /** False on a system that lets nobody look. */
  seen = true;
  readonly #used = new Map<number, ProcessUsage>();
  #looked_at: number;

  constructor(readonly clock: HandClock) {
    this.#looked_at = clock.now();
  }

  open(id: string, _place: number, onFrame: ScriptedHost["say"]): Promise<HostProcess> {
    const host = new ScriptedHost(id, 100 + this.all.length, onFrame);
    this.all.push(host);
    return Promise.resolve(host);
  }

  usage(pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
    const passed = this.clock.now() - this.#looked_at;
    this.#looked_at = this.clock.now();
    for (const { pid, shares, bytes } of this.all) {
      const { cpu_ms, ran_ms, waited_ms } = this.#used.get(pid) ??
        { cpu_ms: 0, ran_ms: 0, waited_ms: 0 };
      this.#used.set(pid, {
        cpu_ms: cpu_ms + passed * shares.cpu,
        ran_ms: ran_ms + passed * shares.ran,
        waited_ms: waited_ms + passed * shares.waited,
        bytes,
      });
    }
    const seen = this.seen ? pids : [];
    return Promise.resolve(new Map(seen.map((pid) => [pid, this.#used.get(pid)!])));
  }
}

interface Field {
  readonly clock: HandClock;
  readonly hosts: ScriptedHosts;
  readonly pool: CellPool;
  /** Children as the supervisor has them. */
  readonly children: Child[];
  readonly steps: string[];
  readonly failures: { worker: number; reason: string; fault: string }[];
  readonly asked: string[];
  /** A worker of an actor with an envelope in hand. */
  busy(envelope: string, suspect?: boolean): number;
  /** Lets so many looks pass; `before` each of them something happens. */
  looks(count: number, before?: () => void): Promise<void>;
}

/** A pool with so many cells open; its heartbeat is two seconds, four looks. */
async function field(cells: number): Promise<Field> {
  const clock = new HandClock();
  const hosts = new ScriptedHosts(clock);
  const pool = new CellPool({ kinds: {}, spare: {}, heartbeat_ms: 4 * CELL_LOOK_MS }, hosts, clock);
  const [steps, failures, asked]: [string[], Field["failures"], string[]] = [[], [], []];
  pool.onStep = (worker, { envelope }) => steps.push(`${worker} ${envelope}`);
  pool.onFailure = (worker, reason, fault) => failures.push({ worker, reason, fault });
  pool.onFull = (id) => asked.push(id);
  const children: Child[] = [];
  for (let n = 1; n <= cells; n++) children.push(await pool.open(`cell-${n}`));
  const busy = (envelope: string, suspect = false) => {
    const worker = pool.start("agent", suspect);
    pool.deliver(worker, envelope, `{"type":"go"}`, null);
    return worker;
  };
  const looks = async (count: number, before = () => {}) => {
    for (let look = 0; look < count; look++) {
      before();
      clock.advance(CELL_LOOK_MS);
      await turn();
    }
  };
  return { clock, hosts, pool, children, steps, failures, asked, busy, looks };
}

/** Everything that follows from what has just happened has happened. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

// The first look finds that it was handed something meanwhile; after that, silence is counted.
const SILENT_LOOKS = 5;

Deno.test("an envelope goes to a worker in a cell, and its answer to whoever waits for it", async () => {
  const { hosts: { all: [host] }, steps, failures, busy } = await field(1);
  const worker = busy("e1");
  assert.deepEqual(host.told, [`start ${worker}`]);
  assert.deepEqual(host.sent.at(-1), [
    worker,
    `{"envelope":"e1","message":{"type":"go"},"state":null}`,
  ]);
  host.answer(worker, "e1");
  assert.deepEqual([steps, failures], [[`${worker} e1`], []]);
});

Deno.test("a worker that spins is terminated after two seconds, and its cell killed when it spins on", async () => {
  const { clock, hosts: { all: [host] }, failures, busy, looks } = await field(1);
  const [spinner, neighbour] = [busy("e1"), busy("e2")];
  host.answer(neighbour, "e2");
  host.shares.cpu = 1;
  await looks(SILENT_LOOKS - 1, () => host.beat(neighbour));
  assert.deepEqual(failures, []);
  await looks(1, () => host.beat(neighbour));
  const silent = { worker: spinner, reason: "it gave no heartbeat for 2000 ms", fault: "unclear" };
  assert.deepEqual(failures, [silent]);
  assert.equal(host.told.at(-1), `stop ${spinner}`);
  assert.equal(host.ended_with, null);
  clock.advance(TERMINATE_GRACE_MS);
  await turn();
  const reason = "a worker in it spins and cannot be terminated";
  assert.equal(host.ended_with, reason);
  assert.deepEqual(failures, [
    silent,
    { worker: neighbour, reason: `its cell ended (${reason})`, fault: "none" },
  ]);
});

Deno.test("a worker that obeys its termination harms nobody, and its cell ends when it is empty", async () => {
  const { clock, hosts: { all: [host, other] }, pool, failures, busy, looks } = await field(2);
  const [spinner, , neighbour] = [busy("e1"), busy("e2"), busy("e3")];
  assert.equal(host.told.length, 2, "both in the first cell");
  host.answer(neighbour, "e3");
  host.shares.cpu = 1;
  await looks(SILENT_LOOKS, () => {
    host.beat(neighbour);
    other.beat();
    other.answer(2, "e2");
    pool.deliver(2, "e2", "{}", null);
  });
  host.shares.cpu = 0;
  assert.deepEqual(failures.map(({ worker }) => worker), [spinner]);
  clock.advance(TERMINATE_GRACE_MS);
  await turn();
  assert.equal(host.ended_with, null);
  // Nobody moves in any more.
  const next = pool.start("agent", false);
  assert.equal(other.told.at(-1), `start ${next}`);
  pool.stop(neighbour);
  assert.equal(host.ended_with, "one of its workers never answered");
});

Deno.test("a worker that sleeps is given up after the same two seconds", async () => {
  const { hosts: { all: [host] }, failures, busy, looks } = await field(1);
  const worker = busy("e1");
  await looks(SILENT_LOOKS - 1, () => host.beat());
  assert.deepEqual(failures, []);
  await looks(1, () => host.beat());
  assert.deepEqual(failures.map(({ worker }) => worker), [worker]);
});

Deno.test("a worker with nothing in hand is there as long as its cell says so", async () => {
  const { hosts: { all: [host] }, failures, busy, looks } = await field(1);
  const worker = busy("e1");
  host.answer(worker, "e1");
  await looks(100, () => host.beat(worker));
  assert.deepEqual(failures, []);
});

Deno.test("a worker whose cell waits for a core that others have is not given up", async () => {
  const { hosts: { all: [host] }, steps, failures, busy, looks } = await field(1);
  const worker = busy("e1");
  host.shares = { cpu: 0.001, ran: 0.001, waited: 0.9 };
  await looks(200, () => host.beat());
  assert.deepEqual([failures, host.ended_with], [[], null]);
  host.answer(worker, "e1");
  assert.deepEqual(steps, [`${worker} e1`]);
});

Deno.test("sixteen workers that start on a machine taken by others have the time of sixteen", async () => {
  const { hosts: { all: [host] }, steps, failures, busy, looks } = await field(1);
  const workers = Array.from({ length: WORKERS_PER_CELL_MAX }, (_, n) => busy(`e${n}`));
  // A quarter of a core for all of them, which they wait for most of the time.
  host.shares = { cpu: 0.25, ran: 0.01, waited: 0.05 };
  await looks(20, () => host.beat());
  assert.deepEqual(failures, []);
  for (const [n, worker] of workers.entries()) host.answer(worker, `e${n}`);
  assert.equal(steps.length, WORKERS_PER_CELL_MAX);
});

Deno.test("a worker that spins on a machine taken by others is given up when it had its time", async () => {
  const { hosts: { all: [host] }, failures, busy, looks } = await field(1);
  busy("e1");
  host.shares = { cpu: 0.125, ran: 0.01, waited: 0.05 };
  // 62.5 ms a look, of which it may have 500.
  await looks(8, () => host.beat());
  assert.deepEqual(failures, []);
  await looks(1, () => host.beat());
  assert.equal(failures.length, 1);
});

Deno.test("the last of a crowd that is being started is not given up for what the others used", async () => {
  const { hosts: { all: [host] }, failures, busy, looks } = await field(1);
  const crowd = Array.from({ length: 8 }, (_, n) => busy(`e${n}`));
  host.shares.cpu = 1;
  await looks(SILENT_LOOKS - 1, () => host.beat());
  for (const [n, worker] of crowd.slice(1).entries()) host.answer(worker, `e${n + 1}`);
  await looks(1, () => host.beat(...crowd.slice(1)));
  assert.deepEqual(failures, []);
});

Deno.test("where nothing can be seen, time alone counts, and a silent worker's cell is killed", async () => {
  const { clock, hosts, failures, busy, looks } = await field(1);
  hosts.seen = false;
  const [host] = hosts.all;
  const [, neighbour] = [busy("e1"), busy("e2")];
  host.answer(neighbour, "e2");
  await looks(SILENT_LOOKS, () => host.beat(neighbour));
  assert.equal(failures.length, 1);
  clock.advance(TERMINATE_GRACE_MS);
  await turn();
  assert.equal(host.ended_with, "a worker in it spins and cannot be terminated");
});

Deno.test("a kernel that had no core itself for a minute gives nobody up for it", async () => {
  const { clock, hosts: { all: [host] }, failures, busy, looks } = await field(1);
  const worker = busy("e1");
  host.shares.cpu = 1;
  await looks(2, () => host.beat());
  clock.advance(60_000);
  await turn();
  assert.deepEqual([failures, host.ended_with], [[], null]);
  host.answer(worker, "e1");
  await looks(1, () => host.beat(worker));
  assert.deepEqual([failures, host.ended_with], [[], null]);
});

Deno.test("a cell that does not beat is killed after twice the time of a worker", async () => {
  const { hosts: { all: [host] }, looks } = await field(1);
  await looks(2 * SILENT_LOOKS - 2);
  assert.equal(host.ended_with, null);
  await looks(1);
  assert.equal(host.ended_with, "no heartbeat for 4000 ms: it rests");
});

Deno.test("a cell whose own thread spins is killed, whatever else it waits for", async () => {
  const { hosts: { all: [host] }, looks } = await field(1);
  // 187.5 ms a look, of which it may have 2,000.
  host.shares = { cpu: 0.375, ran: 0.375, waited: 0.625 };
  await looks(11);
  assert.equal(host.ended_with, null);
  await looks(1);
  assert.match(host.ended_with!, /^no heartbeat for \d+ ms: it spins$/);
});

Deno.test("a cell that waits for a core that others have is not killed, however long it is silent", async () => {
  const { hosts: { all: [host] }, failures, busy, looks } = await field(1);
  busy("e1");
  host.shares = { cpu: 0, ran: 0, waited: 1 };
  await looks(200);
  assert.deepEqual([failures, host.ended_with], [[], null]);
});

Deno.test("the workers of a cell that dies have failed, and none of them is known to be why", async () => {
  const { hosts: { all: [host] }, pool, failures, busy } = await field(1);
  const workers = [busy("e1"), busy("e2")];
  host.kill("signal SIGKILL");
  await turn();
  assert.deepEqual(
    failures,
    workers.map((worker) => ({
      worker,
      reason: "its cell ended (signal SIGKILL)",
      fault: "unclear",
    })),
  );
  assert.deepEqual(pool.size, { cells: 0, workers: 0 });
});

Deno.test("the workers of a cell that is stopped are not to blame", async () => {
  const { children: [child], failures, busy } = await field(1);
  busy("e1");
  await child.stop();
  await turn();
  assert.deepEqual(failures.map(({ fault }) => fault), ["none"]);
});

Deno.test("a cell that burns CPU time with nothing to do is killed after three seconds", async () => {
  const { hosts: { all: [host] }, busy, looks } = await field(1);
  const worker = busy("e1");
  host.answer(worker, "e1");
  host.shares.cpu = 0.9;
  // What it had used before the first look is not known.
  await looks(RESTLESS_LOOKS_MAX, () => host.beat(worker));
  assert.equal(host.ended_with, null);
  await looks(1, () => host.beat(worker));
  assert.equal(host.ended_with, "it burns CPU time while all its workers rest");
});

Deno.test("a cell that burns CPU time for a worker that answers is left alone", async () => {
  const { hosts: { all: [host] }, pool, busy, looks } = await field(1);
  const worker = busy("e1");
  host.shares.cpu = 0.9;
  await looks(100, () => {
    host.beat();
    host.answer(worker, "e1");
    pool.deliver(worker, "e1", "{}", null);
  });
  assert.equal(host.ended_with, null);
});

Deno.test("a cell that grows over its memory is killed at the next look", async () => {
  const { hosts: { all: [host] }, looks } = await field(1);
  host.bytes = CELL_MEMORY_MAX;
  await looks(1, () => host.beat());
  assert.equal(host.ended_with, null);
  host.bytes += 2 ** 20;
  await looks(1, () => host.beat());
  assert.equal(host.ended_with, "it uses 2049 MB of memory, more than 2048");
});

Deno.test("a suspect has a cell for itself, and what goes wrong there is its own doing", async () => {
  const { hosts: { all: [first, second] }, pool, failures, busy, looks } = await field(2);
  const suspect = busy("e1", true);
  const others = [busy("e2"), busy("e3")];
  assert.deepEqual(first.told, [`start ${suspect}`]);
  assert.deepEqual(second.told, others.map((worker) => `start ${worker}`));
  await looks(SILENT_LOOKS, () => {
    first.beat();
    second.beat(...others);
  });
  assert.deepEqual(failures, [
    { worker: suspect, reason: "it gave no heartbeat for 2000 ms", fault: "own" },
  ]);
  assert.equal(first.ended_with, "one of its workers never answered");
  await turn();
  assert.equal(pool.size.cells, 1);
});

Deno.test("a cell in which a suspect was tried takes anybody again", async () => {
  const { hosts: { all: [host] }, pool, busy } = await field(1);
  pool.stop(busy("e1", true));
  const next = busy("e2");
  assert.equal(host.told.at(-1), `start ${next}`);
});

Deno.test("so many suspects are tried at once, and the next one takes the place of the first", async () => {
  const { hosts, pool, asked, busy } = await field(SUSPECT_CELLS_MAX + 1);
  const suspects = Array.from({ length: SUSPECT_CELLS_MAX + 1 }, (_, n) => busy(`e${n}`, true));
  const tried = () => hosts.all.flatMap(({ told }) => told).filter((told) => /start/.test(told));
  assert.deepEqual(tried(), suspects.slice(0, -1).map((worker) => `start ${worker}`));
  pool.stop(suspects[0]);
  assert.ok(tried().includes(`start ${suspects.at(-1)}`));
  assert.deepEqual(asked, []);
});

Deno.test("actors without room ask for one cell at a time, and move in with what they were handed", async () => {
  const { hosts, pool, asked, busy } = await field(1);
  for (let n = 0; n < WORKERS_PER_CELL_MAX; n++) busy(`e${n}`);
  assert.deepEqual(asked, []);
  const homeless = [busy("late 1"), busy("late 2")];
  assert.deepEqual(asked, ["cell-2"]);
  await pool.open("cell-2");
  assert.deepEqual(hosts.all[1].told, homeless.map((worker) => `start ${worker}`));
  assert.deepEqual(
    hosts.all[1].sent.filter(([worker]) => worker !== 0).map(([, body]) =>
      JSON.parse(body).envelope
    ),
    ["late 1", "late 2"],
  );
  assert.deepEqual(asked, ["cell-2"]);
});

Deno.test("a frame that breaks its schema ends the cell, and a strange answer its worker alone", async () => {
  const { hosts: { all: [host] }, failures, busy } = await field(1);
  const [worker, other] = [busy("e1"), busy("e2")];
  host.answer(worker, "e2");
  assert.deepEqual(failures, [
    { worker, reason: "it answered an envelope that it does not hold", fault: "own" },
  ]);
  host.say(0, new TextEncoder().encode(`{"t":"root"}`));
  await turn();
  assert.match(host.ended_with!, /^it sent a frame that breaks its schema: /);
  assert.deepEqual(failures.map(({ worker }) => worker), [worker, other]);
});

Deno.test("looks end with the last cell, and begin again with the next", async () => {
  const { clock, hosts, pool, children, looks } = await field(1);
  await children[0].stop();
  await looks(1);
  assert.deepEqual(clock.waits, []);
  await pool.open("cell-1");
  const [, next] = hosts.all;
  await looks(2 * SILENT_LOOKS);
  assert.match(next.ended_with!, /no heartbeat/);
});
