import assert from "node:assert/strict";
import { simulate } from "./simulation.ts";

/** Of each seed; then everything has to come to its end. */
const STEPS = 200;
const SEEDS = 300;
/** Side by side, so that no single test takes long. */
const SHARES = 10;

for (let share = 0; share < SHARES; share++) {
  Deno.test(`Nothing is lost, doubled or forgotten, whatever goes wrong (${share + 1} of ${SHARES})`, async () => {
    for (let seed = share; seed < SEEDS; seed += SHARES) {
      const { wrongs, trace } = await simulate(seed, STEPS);
      const again = `deno task simulate --seed ${seed} --steps ${STEPS}`;
      assert.deepEqual(wrongs, [], `${again}\n${trace.slice(-40).join("\n")}`);
    }
  });
}

Deno.test("The same seed gives the same trace", async () => {
  for (const seed of [1, 2, 3]) {
    const [once, again] = [await simulate(seed, STEPS), await simulate(seed, STEPS)];
    assert.deepEqual(again.trace, once.trace);
  }
});
