/**
 * Simulates the loop over many seeds, or one of them again with all that happened in it:
 * `deno task simulate --seeds 5000 --steps 200`, `deno task simulate --seed 17`.
 */
import { parseArgs } from "node:util";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "0" },
    seeds: { type: "string", default: "5000" },
    steps: { type: "string", default: "200" },
    /** Stops at the first seed that fails. */
    first: { type: "boolean", default: false },
  },
});
const steps = Number(values.steps);
if (values.seed !== undefined) {
  const { trace, wrongs } = await simulate(Number(values.seed), steps);
  console.log(trace.join("\n"));
  Deno.exit(wrongs.length > 0 ? 1 : 0);
}
const begun = performance.now();
const first = Number(values.from);
let all = 0;
let failed = 0;
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const { trace, wrongs } = await simulate(seed, steps);
  all += trace.length;
  if (wrongs.length === 0) continue;
  failed++;
  console.log(`seed ${seed}: ${wrongs[0]}\n  deno task simulate --seed ${seed} --steps ${steps}`);
  if (values.first) Deno.exit(1);
}
const seconds = (performance.now() - begun) / 1000;
console.log(
  `${values.seeds} seeds, ${steps} steps of trouble each, ${all} lines of trace, ` +
    `${seconds.toFixed(1)} s: ${failed} failed`,
);
Deno.exit(failed > 0 ? 1 : 0);
