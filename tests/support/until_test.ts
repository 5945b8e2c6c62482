/** How long a test waits: as long as the machine has given it its time, and no longer. */
import assert from "node:assert/strict";
import { until } from "./until.ts";

const DEADLINE_MS = 300;

async function waited(): Promise<number> {
  const began = performance.now();
  await assert.rejects(
    until("the impossible", () => false, DEADLINE_MS),
    /300 ms went by without the imp/,
  );
  return performance.now() - began;
}

Deno.test("a wait for what never comes ends", async () => {
  assert.ok(await waited() >= DEADLINE_MS);
});

Deno.test("a wait is longer where others have the cores", async () => {
  const busy = "data:application/javascript,postMessage(1);for(;;);";
  const others = Array.from(
    { length: 4 * navigator.hardwareConcurrency },
    () => new Worker(busy, { type: "module" }),
  );
  await Promise.all(
    others.map((other) => new Promise((resolve) => other.onmessage = resolve)),
  );
  try {
    const took_ms = await waited();
    assert.ok(took_ms > 2 * DEADLINE_MS, `${took_ms} ms`);
  } finally {
    for (const other of others) other.terminate();
  }
});
