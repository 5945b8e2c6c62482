/** What dies and what survives: workers, cells, the store worker, the kernel. */
import assert from "node:assert/strict";
import type { TestKernel } from "../support/kernel.ts";
import { begin, ended } from "../support/api.ts";
import { tempFolder } from "../support/folder.ts";
import { beginActor, startKernel } from "../support/kernel.ts";
import { rows } from "../support/long.ts";
import { freePort, startTroupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

const KINDS = {
  workflow: import.meta.resolve("../bench/workflow.ts"),
  spinner: import.meta.resolve("../support/actors/spinner.ts"),
  crasher: import.meta.resolve("../support/actors/crasher.ts"),
};

async function rowOf(kernel: TestKernel, id: string) {
  return await kernel.read.selectFrom("tasks").select(["status", "result", "reason"])
    .where("id", "=", id).executeTakeFirstOrThrow();
}

async function over(kernel: TestKernel, id: string) {
  await until(
    `the end of ${id}`,
    async () => ["done", "failed"].includes((await rowOf(kernel, id)).status),
    60_000,
  );
  return await rowOf(kernel, id);
}

Deno.test("an actor that throws is tried three times, buried, and its task fails with the reason", async () => {
  await using folder = await tempFolder();
  const kernel = await startKernel(folder.path, KINDS);
  try {
    const crasher = await beginActor(kernel, "crasher", { type: "go" });
    const bystander = await beginActor(kernel, "workflow", { type: "step", left: 50 });
    const failed = await over(kernel, crasher.address);
    assert.equal(failed.status, "failed");
    assert.match(failed.reason!, /Failed 3 times at go: .*this actor always throws/);
    const letters = await kernel.read.selectFrom("dead_letters").selectAll().execute();
    assert.deepEqual(letters.map(({ address, attempts }) => ({ address, attempts })), [
      { address: crasher.address, attempts: 3 },
    ]);
    assert.equal((await over(kernel, bystander.address)).result, "50");
  } finally {
    await kernel.stop();
  }
});

Deno.test("a spinning actor is killed with its cell, its task fails, and its neighbours finish", async () => {
  await using folder = await tempFolder();
  const log: string[] = [];
  const kernel = await startKernel(folder.path, KINDS, {
    log: (line) => void log.push(line),
  });
  try {
    const spinner = await beginActor(kernel, "spinner", { type: "go" });
    const neighbours = await Promise.all(
      [1, 2, 3].map(() => beginActor(kernel, "workflow", { type: "step", left: 300 })),
    );
    for (const { address } of neighbours) {
      assert.deepEqual(await over(kernel, address), {
        status: "done",
        result: "300",
        reason: null,
      });
    }
    const failed = await over(kernel, spinner.address);
    assert.equal(failed.status, "failed");
    assert.match(failed.reason!, /no heartbeat/);
    // Its cell is looked at while neighbours are still in it, and given up at once when it is alone.
    const killed = /^cell-\d+ died: (a worker in it spins|one of its workers never answered)/;
    assert.ok(log.some((line) => killed.test(line)), log.join("\n"));
  } finally {
    await kernel.stop();
  }
});

Deno.test("a cell that is killed loses nothing: its actors go on in a new one", async () => {
  await using folder = await tempFolder();
  const kernel = await startKernel(folder.path, KINDS);
  try {
    const { address } = await beginActor(kernel, "workflow", { type: "step", left: 400 });
    for (let kill = 0; kill < 2; kill++) {
      await until(
        "an actor in a cell",
        () => kernel.cells.pids.length > 0 && kernel.load.running === 1,
      );
      const [killed] = kernel.cells.pids;
      Deno.kill(killed, "SIGKILL");
      await until("the end of the cell", () => !kernel.cells.pids.includes(killed));
    }
    assert.equal((await over(kernel, address)).result, "400");
    const { n } = await kernel.read.selectFrom("entries")
      .select(({ fn }) => fn.countAll<number>().as("n"))
      .where("task_id", "=", address).where("received", "=", 1).executeTakeFirstOrThrow();
    assert.equal(n, 400, "each step is settled once");
  } finally {
    await kernel.stop();
  }
});

Deno.test("a kernel whose store worker dies ends, and a new one finishes the work", async () => {
  await using folder = await tempFolder();
  const script = import.meta.resolve("../support/store_crash.ts");
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", script, folder.path, ...args],
    }).output();
    return { code, out: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  };
  const crashes_ms = rows([35, 5, 20, 50, 65]);
  for (const ms of crashes_ms) {
    const { code, out } = await run("crash", String(ms));
    assert.equal(code, 70, out);
    assert.match(out, /store died and cannot be replaced alone/);
  }
  const { code, out } = await run("finish");
  assert.equal(code, 0, out);
  const count = crashes_ms.length;
  assert.match(out, new RegExp(`${count} workflows done, ${count * 300} steps`));
});

Deno.test("a launcher starts a killed kernel again, and the tree under way ends as it would have", async () => {
  await using troupe = await startTroupe({ env: { PORT: String(freePort()) } });
  const instruction = "Work out what a two-day workshop for 24 people costs";
  const tree = await begin(troupe.url, { instruction });
  const pid = await troupe.kernelPid();
  Deno.kill(pid, "SIGKILL");
  await until("a new kernel", async () => {
    const response = await fetch(`${troupe.url}/ready`).catch(() => null);
    await response?.body?.cancel();
    return response?.ok && await troupe.kernelPid() !== pid;
  });
  assert.equal((await ended(troupe.url, tree)).result, "The workshop costs 2420 euros");
});

/** The restarted kernel has to come back on the port of the first. */
