/** Actors that an attacker wrote: each fails alone, and whoever shares its cell goes on. */
import assert from "node:assert/strict";
import { tempFolder } from "../support/folder.ts";
import { beginActor, startKernel } from "../support/kernel.ts";
import { until } from "../support/until.ts";
import { LONG, longTest } from "../support/long.ts";
import { weighed } from "../support/machine.ts";
import { type Arena, arena, assertFailed } from "./harness.ts";

const actors = (name: string) => import.meta.resolve(`../support/actors/${name}.ts`);
const KINDS = {
  hostile: actors("hostile"),
  spinner: actors("spinner"),
  never_loads: actors("never_loads"),
  spins_on_load: actors("spins_on_load"),
};

let field: Arena;
// Every test is of the long task: without it there is nothing to begin.
if (LONG) {
  Deno.test.beforeAll(async () => {
    field = await arena(KINDS);
  });
  Deno.test.afterAll(async () => await field[Symbol.asyncDispose]());
}

/** CPU time of all cells, in ms. */
async function cpuOf({ kernel }: Arena): Promise<number> {
  const rows = await ps("-o", "cputimes=", "-p", kernel.cells.pids.join(","));
  return 1000 * rows.reduce((sum, seconds) => sum + Number(seconds), 0);
}

/** Threads of workers in all cells. */
async function workerThreads({ kernel }: Arena): Promise<number> {
  const names = await ps("-T", "-o", "comm=", "-p", kernel.cells.pids.join(","));
  return names.filter((name) => name.startsWith("worker-")).length;
}

async function ps(...args: string[]): Promise<string[]> {
  const { stdout } = await new Deno.Command("ps", { args }).output();
  return new TextDecoder().decode(stdout).trim().split("\n").map((line) => line.trim());
}

longTest(
  "an actor that answers the envelope of another fails, and the other does not end by it",
  async () => {
    const { kernel } = field;
    const victim = await beginActor(kernel, "workflow", { type: "step", left: 2_000 });
    const { id } = await until(
      "an envelope of the victim",
      () =>
        kernel.read.selectFrom("envelopes").select("id").where(
          "to_address",
          "=",
          victim.address,
        )
          .executeTakeFirst(),
    );
    const ended = await field.attackAs("hostile", {
      how: "answers another's envelope",
      victim: id,
    });
    assertFailed(ended, /it answered an envelope that it does not hold/);
    const done = await until("the victim's end", async () => {
      const row = await kernel.read.selectFrom("tasks").select(["status", "result"])
        .where("id", "=", victim.address).executeTakeFirstOrThrow();
      return row.status === "running" || row.status === "queued" ? null : row;
    });
    assert.deepEqual({ ...done }, { status: "done", result: "2000" });
  },
);

longTest(
  "an actor that sends to an address of another tree fails, and nothing arrives there",
  async () => {
    const { kernel } = field;
    const victim = await beginActor(kernel, "workflow", { type: "step", left: 500 });
    const how = "sends to another tree";
    assertFailed(
      await field.attackAs("hostile", { how, victim: victim.address }),
      /could not be settled \(The mailbox is full \(1000 envelopes\), or its tree has no such live actor\)/,
    );
    const done = await until(
      "the victim's end",
      () =>
        kernel.read.selectFrom("tasks").select("result").where("id", "=", victim.address)
          .where("status", "=", "done").executeTakeFirst(),
    );
    // One message more would have ended it early.
    assert.equal(done.result, "500");
  },
);

longTest("an actor that says a million times that it is there ends as any other", async () => {
  const how = "says a million times that it is there";
  const { status } = await field.attackAs("hostile", { how });
  assert.ok(["done", "failed"].includes(status));
});

longTest("an actor's timers and promises never run", async () => {
  const ended = await field.attackAs("hostile", { how: "leaves a timer" });
  assert.deepEqual(ended, { status: "done", result: "answered", reason: null });
});

longTest("actors that fall silent fail after three attempts", async () => {
  // Side by side, for the patience with each is two seconds an attempt.
  const silent = [
    "closes its worker",
    "ends its process",
    "ends its process through node",
    "sleeps for ever",
  ];
  const ended = await Promise.all(silent.map((how) => field.attackAs("hostile", { how })));
  for (const [index, one] of ended.entries()) {
    assert.equal(one.status, "failed", silent[index]);
    assert.match(one.reason!, /^Failed 3 times at go: /, silent[index]);
  }
});

longTest("an actor whose module never loads fails after three attempts", async () => {
  assertFailed(await field.attackAs("never_loads"), /no heartbeat/);
});

longTest("an actor that sleeps for ever leaves no thread behind", async () => {
  assertFailed(await field.attackAs("hostile", { how: "sleeps for ever" }), /no heartbeat/);
  await until(
    "the end of its threads",
    async () => field.kernel.cells.size.workers === 0 && await workerThreads(field) === 0,
    5_000,
  );
});

longTest("an actor that leaves a spinning worker behind leaves no load behind", async () => {
  await field.attackAs("hostile", { how: "leaves a spinning worker" });
  await until("the end of the load", async () => {
    const before = await cpuOf(field);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const after = await cpuOf(field);
    // Of a cell that was replaced meanwhile, nothing is counted any longer.
    return after - before < 1_000;
  }, 5_000);
});

for (const how of ["spins", "spins in what it returns"]) {
  longTest(
    `an actor that ${how} is killed with its cell and fails after three attempts`,
    async () => {
      assertFailed(await field.attackAs("hostile", { how }), /no heartbeat/);
    },
  );
}

longTest("the only cell is replaced within 5 s when an actor spins in it", async () => {
  await using folder = await tempFolder();
  const kernel = await startKernel(folder.path, KINDS);
  try {
    const [killed] = kernel.cells.pids;
    const { address } = await beginActor(kernel, "spinner", { type: "go" });
    const died = weighed(
      until("the end of the cell", () => !kernel.cells.pids.includes(killed)),
    );
    const replaced = weighed(
      until("a cell in its place", () => kernel.cells.pids.some((pid) => pid !== killed)),
    );
    const [end, place] = await Promise.all([died, replaced]);
    console.log(
      `a spinning actor's cell is dead after ${Math.round(end.took_ms)} ms, ` +
        `replaced after ${Math.round(place.took_ms)} ms`,
    );
    assert.ok(place.took_ms < 5_000, `${place.took_ms} ms`);
    await until("the end of the spinner", async () => {
      const row = await kernel.read.selectFrom("tasks").select("status")
        .where("id", "=", address).executeTakeFirstOrThrow();
      return row.status === "failed";
    });
  } finally {
    await kernel.stop();
  }
});

longTest("an actor that spins while its module is loaded is killed with its cell", async () => {
  assertFailed(await field.attackAs("spins_on_load"), /no heartbeat/);
});

longTest("an actor that posts without end is killed with its cell or fails", async () => {
  assertFailed(await field.attackAs("hostile", { how: "posts texts without end" }), /./);
});

for (const how of ["allocates without end", "fills its heap"]) {
  longTest(`an actor that ${how} fails after three attempts`, async () => {
    assertFailed(await field.attackAs("hostile", { how }), /./);
  });
}

longTest("a cell that is killed has a replacement at work within a second", async () => {
  await using other = await arena();
  const { kernel } = other;
  const { address } = await beginActor(kernel, "workflow", { type: "step", left: 3_000 });
  await until("an actor in a cell", () => kernel.load.running === 1);
  const steps = async () => {
    const { n } = await kernel.read.selectFrom("entries")
      .select(({ fn }) => fn.countAll<number>().as("n")).where("task_id", "=", address)
      .executeTakeFirstOrThrow();
    return n;
  };
  await until("its first steps", async () => await steps() > 10);
  const killed = kernel.cells.pids;
  const { took_ms } = await weighed((async () => {
    for (const pid of killed) Deno.kill(pid, "SIGKILL");
    await until(
      "the end of all cells",
      () => !kernel.cells.pids.some((pid) => killed.includes(pid)),
    );
    const before = await steps();
    await until("a step in a new cell", async () => await steps() > before);
  })());
  console.log(`from SIGKILL to the next step in a new cell: ${Math.round(took_ms)} ms`);
  assert.ok(took_ms < 1_000, `${took_ms} ms`);
});

/** So many actors at once, and one of another tree that must end well. */
longTest("an actor that kills its own process takes its cell with it and fails", async () => {
  // Deno lets every worker do this, whatever its permissions.
  assertFailed(await field.attackAs("hostile", { how: "kills its process" }), /its cell ended/);
});

longTest("an actor that throws 50 MB leaves its cell as it was", async () => {
  await using other = await arena(KINDS);
  assertFailed(await other.attackAs("hostile", { how: "throws 50 MB" }), /./);
  // In each of the four cells, those that had it among them.
  for (let i = 0; i < 3; i++) {
    assertFailed(await other.attackAs("hostile", { how: "throws an error" }), /on purpose/);
  }
});
