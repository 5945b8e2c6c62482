import assert from "node:assert/strict";
import { simulate } from "./simulation.ts";

/** Of trouble; then everything has to come to its end. */
const STEPS = 200;
const SEEDS = 300;
/** Of one test, so that none takes long. */
const SHARE = 100;

for (let from = 0; from < SEEDS; from += SHARE) {
  const to = from + SHARE - 1;
  Deno.test(`Nothing is lost, doubled or forgotten, whatever goes wrong: seeds ${from} to ${to}`, async () => {
    for (let seed = from; seed <= to; seed++) {
      const { wrongs, trace } = await simulate(seed, STEPS);
      const again = `deno task simulate --seed ${seed} --steps ${STEPS}`;
      assert.deepEqual(wrongs, [], `${again}\n${trace.slice(-40).join("\n")}`);
    }
  });
}

Deno.test("The same seed gives the same trace", async () => {
  for (const seed of [1, 2, 3]) {
    const once = await simulate(seed, STEPS);
    assert.ok(once.trace.length > STEPS, "next to nothing happened");
    const again = await simulate(seed, STEPS);
    assert.deepEqual(again.trace, once.trace);
  }
});
