/** What dies and what survives: workers, cells, the store worker, the kernel. */
import assert from "node:assert/strict";
import { HEARTBEAT_MS } from "../../runtime/core/limits.ts";
import { tempFolder } from "../support/folder.ts";
import { beginActor, startKernel, type TestKernel } from "../support/kernel.ts";
import { LONG, rows } from "../support/long.ts";
import { until } from "../support/until.ts";

const KINDS = {
  workflow: import.meta.resolve("../bench/workflow.ts"),
  spinner: import.meta.resolve("../support/actors/spinner.ts"),
  crasher: import.meta.resolve("../support/actors/crasher.ts"),
};

/** Steps of a spinner's neighbour: it is at work while the other is given up. */
const STEPS = LONG ? 300 : 100;

/** One kernel for all who do away with workers and cells: it goes on, and that is what they show. */
let folder: { path: string } & AsyncDisposable;
let kernel: TestKernel;
const log: string[] = [];

Deno.test.beforeAll(async () => {
  folder = await tempFolder();
  // Half the patience of production: who spins is waited for once in company and three times alone.
  const options = { heartbeat_ms: HEARTBEAT_MS / 2, log: (line: string) => void log.push(line) };
  kernel = await startKernel(folder.path, KINDS, options);
});
Deno.test.afterAll(async () => {
  await kernel.stop();
  await folder[Symbol.asyncDispose]();
});

async function rowOf(id: string) {
  return await kernel.read.selectFrom("tasks").select(["status", "result", "reason"])
    .where("id", "=", id).executeTakeFirstOrThrow();
}

async function over(id: string) {
  await until(
    `the end of ${id}`,
    async () => ["done", "failed"].includes((await rowOf(id)).status),
    60_000,
  );
  return await rowOf(id);
}

Deno.test("an actor that throws is tried three times, buried, and its task fails with the reason", async () => {
  const crasher = await beginActor(kernel, "crasher", { type: "go" });
  const bystander = await beginActor(kernel, "workflow", { type: "step", left: 50 });
  const failed = await over(crasher.address);
  assert.equal(failed.status, "failed");
  assert.match(failed.reason!, /Failed 3 times at go: .*this actor always throws/);
  assert.equal((await over(bystander.address)).result, "50");
  const letters = await kernel.read.selectFrom("dead_letters").select(["address", "attempts"])
    .where("address", "in", [crasher.address, bystander.address]).execute();
  assert.deepEqual(letters, [{ address: crasher.address, attempts: 3 }]);
});

Deno.test("a cell that is killed loses nothing: its actors go on in a new one", async () => {
  const { address } = await beginActor(kernel, "workflow", { type: "step", left: 400 });
  for (let kill = 0; kill < 2; kill++) {
    await until(
      "an actor in a cell",
      () => kernel.cells.pids.length > 0 && kernel.load.running === 1,
    );
    // Whichever of them it is in.
    const killed = kernel.cells.pids;
    for (const pid of killed) Deno.kill(pid, "SIGKILL");
    await until(
      "the end of the cells",
      () => !kernel.cells.pids.some((pid) => killed.includes(pid)),
    );
  }
  assert.equal((await over(address)).result, "400");
  const { n } = await kernel.read.selectFrom("entries")
    .select(({ fn }) => fn.countAll<number>().as("n"))
    .where("task_id", "=", address).where("received", "=", 1).executeTakeFirstOrThrow();
  assert.equal(n, 400, "each step is settled once");
});

Deno.test("a spinning actor is killed with its cell, its task fails, and its neighbours finish", async () => {
  const logged = log.length;
  const spinner = await beginActor(kernel, "spinner", { type: "go" });
  const neighbours = await Promise.all(
    [1, 2, 3].map(() => beginActor(kernel, "workflow", { type: "step", left: STEPS })),
  );
  for (const { address } of neighbours) {
    assert.deepEqual(await over(address), {
      status: "done",
      result: String(STEPS),
      reason: null,
    });
  }
  const failed = await over(spinner.address);
  assert.equal(failed.status, "failed");
  assert.match(failed.reason!, /no heartbeat/);
  // Its cell is looked at while neighbours are still in it, and given up at once when it is alone.
  const killed = /^cell-\d+ died: (a worker in it spins|one of its workers never answered)/;
  const since = log.slice(logged);
  assert.ok(since.some((line) => killed.test(line)), since.join("\n"));
});

Deno.test("a kernel whose store worker dies ends, and a new one finishes the work", async () => {
  await using folder = await tempFolder();
  const script = import.meta.resolve("../support/store_crash.ts");
  const crashes_ms = rows([35, 5, 20, 50, 65]);
  for (const ms of crashes_ms) {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", script, folder.path, String(ms)],
    }).output();
    const out = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 70, out);
    assert.match(out, /store died and cannot be replaced alone/);
  }
  const next = await startKernel(folder.path, KINDS);
  try {
    const all = () => next.read.selectFrom("tasks").select(["status", "result"]).execute();
    await until(
      "the end of all",
      async () => (await all()).every(({ status }) => status === "done"),
    );
    assert.deepEqual(await all(), crashes_ms.map(() => ({ status: "done", result: "300" })));
    const { n } = await next.read.selectFrom("entries")
      .select(({ fn }) => fn.countAll<number>().as("n"))
      .where("received", "=", 1).executeTakeFirstOrThrow();
    assert.equal(n, crashes_ms.length * 300);
  } finally {
    await next.stop();
  }
});
