/** Simulates seeds inside a test; two files share them, so that they run side by side. */
import assert from "node:assert/strict";
import { simulate } from "./simulation.ts";

/** Of trouble; then everything has to come to its end. */
export const STEPS = 200;

export async function simulateAll(first: number, last: number): Promise<void> {
  for (let seed = first; seed <= last; seed++) {
    const { wrongs, trace } = await simulate(seed, STEPS);
    const again = `deno task simulate --seed ${seed} --steps ${STEPS}`;
    assert.deepEqual(wrongs, [], `${again}\n${trace.slice(-40).join("\n")}`);
  }
}
