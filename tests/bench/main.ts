/**
 * `deno task bench`: steps a second of no-op actors through the real mailbox, settle, store worker
 * and cells, with synchronous=FULL. A: one workflow of 1,000 steps in a row. B: 50 workflows of 40
 * steps at once. C: actors of one step, one after the other, from the envelope in the mailbox to the
 * end: what a step costs an actor that was asleep, with its claim and a warm worker. A step is settled
 * when its transaction is on disk. D: calls of a tool that an agent wrote, each in a process of its
 * own: the one that is kept warm, or a new one.
 */
import { newActor, startKernel } from "../support/kernel.ts";

const rounds = Number(Deno.args[0] ?? 5);
/** As many as B has workflows. */
const SLOTS = 50;
/** The kernel deals these slots out to four cells. */
const SPARE = Math.ceil(SLOTS / 4);

const kernel = await startKernel(
  await Deno.makeTempDir({ prefix: "troupe-bench-" }),
  { workflow: import.meta.resolve("./workflow.ts") },
  { slots: SLOTS, spare: { workflow: SPARE }, log: (line) => console.error(line) },
);
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
  rates.sort((a, b) => a - b);
  console.log(
    `${name}  ${workflows} × ${steps} steps: ${Math.round(at(rates, 0.5))} steps/s ` +
      `(${Math.round(rates[0])} to ${Math.round(rates.at(-1)!)} in ${rounds} rounds), ` +
      `step p50 ${ms(waits, 0.5)}, p99 ${ms(waits, 0.99)}`,
  );
}
const asleep: number[] = [];
for (let round = 0; round < rounds; round++) {
  await warmWorkers();
  // Half as many as there are warm workers: making new ones is not what is measured.
  for (let one = 0; one < SLOTS / 2; one++) asleep.push(...(await run(1, 1)).latencies);
}
console.log(
  `C  ${asleep.length} actors of one step each, from mailbox to end: ` +
    `p50 ${ms(asleep, 0.5)}, p99 ${ms(asleep, 0.99)}`,
);
const tool = { source: "export default ({ n }: { n: number }): number => 2 * n;", workspace: null };
const nothing = { net: [], read: [], write: [] };
for (
  const [how, pause_ms] of [["with a warm cell", 500], ["one right after the other", 0]] as const
) {
  const called: number[] = [];
  for (let call = 0; call < 5 * rounds; call++) {
    await new Promise((resolve) => setTimeout(resolve, pause_ms));
    const begun = performance.now();
    const { signal } = new AbortController();
    const outcome = await kernel.tools.call({ ...tool, input: { n: 21 }, grants: nothing }, signal);
    if (!outcome.ok || outcome.value !== 42) throw new Error(`It gave ${JSON.stringify(outcome)}`);
    called.push(performance.now() - begun);
  }
  console.log(
    `D  ${called.length} calls of a written tool, ${how}: ` +
      `p50 ${ms(called, 0.5)}, p99 ${ms(called, 0.99)}`,
  );
}
await kernel.stop();
Deno.exit(0);

/** Runs the workflows at once; latencies are from one commit to the settled step after it, in ms. */
async function run(workflows: number, steps: number) {
  const latencies: number[] = [];
  const ends: Promise<void>[] = [];
  const begun = performance.now();
  for (let at = 0; at < workflows; at++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.push(promise);
    const first = { type: "step", left: steps };
    const { tree_id, address, unit } = newActor(kernel, "workflow", first);
    let last = begun;
    let settled = -2;
    // One event for the command and one for the claim, then one for each settled step.
    const callOff = kernel.events.subscribe(tree_id, () => {
      if (++settled === 0) return;
      const now = performance.now();
      if (settled > 0) latencies.push(now - last);
      last = now;
      if (settled < steps) return;
      callOff();
      resolve();
    });
    kernel.command(unit, { address, tree_id, priority: 5 });
  }
  await Promise.all(ends);
  return { seconds: (performance.now() - begun) / 1000, latencies };
}

/** Workers are prewarmed in production too; here as many as the bench uses at once. */
async function warmWorkers(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2_500));
}

function ms(values: number[], share: number): string {
  return `${at(values.sort((a, b) => a - b), share).toFixed(2)} ms`;
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))];
}
