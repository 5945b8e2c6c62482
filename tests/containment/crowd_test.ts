/** Many attackers at once, beside one tree that only wants to finish. */
import assert from "node:assert/strict";
import { beginActor } from "../support/kernel.ts";
import { longTest } from "../support/long.ts";
import { until } from "../support/until.ts";
import { arena } from "./harness.ts";

const KINDS = {
  hostile: import.meta.resolve("../support/actors/hostile.ts"),
  spinner: import.meta.resolve("../support/actors/spinner.ts"),
};

longTest("50 actors that spin at once do not stop a 51st tree from finishing", async () => {
  await crowd(50, "spinner", {}, 1);
});

longTest(
  "20 actors that kill their processes at once do not stop a 21st tree from finishing",
  async () => {
    await crowd(20, "hostile", { how: "kills its process" }, 20);
  },
);

/** @param failing how many of the offenders' ends are waited for */
async function crowd(
  count: number,
  kind: string,
  message: Record<string, unknown>,
  failing: number,
) {
  await using other = await arena(KINDS);
  const { kernel } = other;
  const offenders = await Promise.all(
    Array.from({ length: count }, () => beginActor(kernel, kind, { ...message, type: "go" })),
  );
  const began = performance.now();
  const { address } = await beginActor(kernel, "workflow", { type: "step", left: 200 });
  const end = (id: string) =>
    until(`the end of ${id}`, async () => {
      const row = await kernel.read.selectFrom("tasks").select(["status", "result", "reason"])
        .where("id", "=", id).executeTakeFirstOrThrow();
      return row.status === "done" || row.status === "failed" ? { ...row } : null;
    }, 120_000);
  const innocent = await end(address);
  const took = Math.round(performance.now() - began);
  console.log(`beside ${count} (${kind}) a tree took ${took} ms`);
  await until(`the end of ${failing} offenders`, async () => {
    const ids = offenders.map(({ address }) => address);
    const rows = await kernel.read.selectFrom("tasks").select("id")
      .where("id", "in", ids).where("status", "=", "failed").execute();
    return rows.length >= failing;
  }, 60_000);
  assert.deepEqual(innocent, { status: "done", result: "200", reason: null });
}
