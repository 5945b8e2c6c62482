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
  // Processes, which end when they are told to: a worker that spins may not.
  const others = Array.from(
    { length: 8 * navigator.hardwareConcurrency },
    () =>
      new Deno.Command("sh", { args: ["-c", "echo on; while :; do :; done"], stdout: "piped" })
        .spawn(),
  );
  await Promise.all(
    others.map(({ stdout }) => stdout.getReader({ mode: "byob" }).read(new Uint8Array(2))),
  );
  try {
    const took_ms = await waited();
    assert.ok(took_ms > 2 * DEADLINE_MS, `${took_ms} ms`);
  } finally {
    for (const other of others) other.kill("SIGKILL");
    await Promise.all(others.map(({ status }) => status));
  }
});
