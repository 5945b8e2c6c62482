import assert from "node:assert/strict";
import { simulateAll, STEPS } from "./seeds.ts";
import { simulate } from "./simulation.ts";

Deno.test("Nothing is lost, doubled or forgotten, whatever goes wrong: seeds 0 to 139", () =>
  simulateAll(0, 139));

Deno.test("The same seed gives the same trace", async () => {
  for (const seed of [1, 2, 3]) {
    const once = await simulate(seed, STEPS);
    assert.ok(once.trace.length > STEPS, "next to nothing happened");
    const again = await simulate(seed, STEPS);
    assert.deepEqual(again.trace, once.trace);
  }
});
