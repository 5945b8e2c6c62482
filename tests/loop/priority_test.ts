/** Who begins first in a whole kernel that comes up with thousands of trees in its database. */
import assert from "node:assert/strict";
import type { Store } from "../../db/store.ts";
import { tempFolder } from "../support/folder.ts";
import { startKernel } from "../support/kernel.ts";
import { manyTrees } from "../support/many_trees.ts";
import { until } from "../support/until.ts";

const TREES = 2_000;

Deno.test("of two thousand trees of mixed priority the first one of priority 9 begins within the first five", async () => {
  await using folder = await tempFolder();
  const begun: string[] = [];
  /** Notes in which order trees begin. */
  const noting = (store: Store): Store => ({
    ...store,
    commit: async (unit) => {
      const result = await store.commit(unit);
      const runs = unit.find(({ sql }) => sql.startsWith('update "trees" set "status" = ?'));
      if (result.ok && runs) {
        begun.push(String(runs.parameters.find((one) => /^tree-/.test(`${one}`))));
      }
      return result;
    },
  });
  // Those of priority 9 are the youngest ten of all.
  const priority = `iif(at >= ${TREES - 10}, 9, at % 9)`;
  const kernel = await startKernel(
    folder.path,
    { workflow: import.meta.resolve("../bench/workflow.ts") },
    {
      between: noting,
      onOpen: async (store) => {
        const message = { type: "step", left: 1, address: "" };
        const many = { trees: TREES, instruction: "x", kind: "workflow", agent: "x" };
        const unit = manyTrees({ ...many, priority, wait: "for_slot", message });
        assert.ok((await store.commit(unit)).ok);
      },
    },
  );
  try {
    await until("twenty that began", () => begun.length >= 20);
    const first = begun.findIndex((id) => Number(id.split("-")[1]) >= TREES - 10);
    assert.ok(first >= 0 && first < 5, `${first}: ${begun.slice(0, 20)}`);
  } finally {
    await kernel.stop();
  }
});
