/**
 * `deno task bench`: steps a second of no-op actors through the real mailbox, settle, store worker
 * and cells, with synchronous=FULL. A: one workflow of 1,000 steps in a row. B: 50 workflows of 40
 * steps at once. A step is settled when its transaction is on disk.
 */
import { addTask } from "../../db/tasks.ts";
import { addTree } from "../../db/trees.ts";
import { enqueue } from "../../db/envelopes.ts";
import { benchKernel } from "./kernel.ts";

const rounds = Number(Deno.args[0] ?? 5);

const kernel = await benchKernel(50);
for (const [name, workflows, steps] of [["A", 1, 1000], ["B", 50, 40]] as const) {
  const rates: number[] = [];
  let waits: number[] = [];
  // The first round warms up: compiled statements, the cells' code.
  for (let round = 0; round <= rounds; round++) {
    await warmWorkers();
    const { seconds, latencies } = await run(workflows, steps);
    if (round === 0) continue;
    rates.push(workflows * steps / seconds);
    waits = waits.concat(latencies);
  }
  waits.sort((a, b) => a - b);
  const at = (share: number) => waits[Math.floor(share * (waits.length - 1))].toFixed(2);
  rates.sort((a, b) => a - b);
  console.log(
    `${name}  ${workflows} × ${steps} steps: ${median(rates)} steps/s ` +
      `(${Math.round(rates[0])} to ${Math.round(rates.at(-1)!)} in ${rounds} rounds), ` +
      `step p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  );
}
await kernel.stop();
Deno.exit(0);

/** Runs the workflows at once; latencies are between two commits of one workflow, in ms. */
async function run(workflows: number, steps: number) {
  const latencies: number[] = [];
  const ends: Promise<void>[] = [];
  const begun = performance.now();
  for (let at = 0; at < workflows; at++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.push(promise);
    const tree_id = kernel.ids.next();
    const id = kernel.ids.next();
    const now = Date.now();
    let last = begun;
    let settled = -2;
    // One event for the command and one for the claim, then one for each settled step.
    const callOff = kernel.events.subscribe(tree_id, () => {
      const now = performance.now();
      if (++settled > 0) latencies.push(now - last);
      last = now;
      if (settled < steps) return;
      callOff();
      resolve();
    });
    const tree = {
      id: tree_id,
      root_id: id,
      instruction: "bench",
      mode: "automatic",
      priority: 5,
      after_task: "none",
      budget: {},
      timeout_seconds: 300,
    } as const;
    const task = {
      id,
      tree_id,
      parent_id: null,
      call_id: null,
      purpose: "root",
      agent: "workflow",
      agent_version: 0,
      instruction: "bench",
      depth: 0,
      timeout_seconds: 300,
    } as const;
    const message = { type: "step", left: steps, address: id };
    const unit = [
      addTree(tree, now),
      ...addTask(task, "workflow", now),
      enqueue({ id: kernel.ids.next(), tree_id, to: id, from: "bench", message }, now),
    ];
    kernel.command(unit, { address: id, tree_id, priority: 5 });
  }
  await Promise.all(ends);
  return { seconds: (performance.now() - begun) / 1000, latencies };
}

/** Workers are prewarmed in production too; here as many as the bench uses at once. */
async function warmWorkers(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2_500));
}

function median(sorted: readonly number[]): number {
  return Math.round(sorted[Math.floor(sorted.length / 2)]);
}
