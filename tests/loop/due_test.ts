/** When a look that reads much is due. */
import assert from "node:assert/strict";
import { Due } from "../../runtime/loop/due.ts";

/** A look every 100 ms, and when it was made. */
function looking() {
  const due = new Due();
  const looks: number[] = [];
  let fails = false;
  const at = (now: number) =>
    due.look(now, 100, () => {
      looks.push(now);
      return fails ? Promise.reject(new Error("the disk is full")) : Promise.resolve();
    });
  return { due, looks, at, fail: (failing: boolean) => void (fails = failing) };
}

Deno.test("a look is due at first and after its interval, not at each tick", async () => {
  const { looks, at } = looking();
  for (let now = 1_000; now <= 1_250; now += 10) await at(now);
  assert.deepEqual(looks, [1_000, 1_100, 1_200]);
});

Deno.test("a look that failed is due at once, until one comes through", async () => {
  const { looks, at, fail } = looking();
  fail(true);
  await assert.rejects(at(1_000), /the disk is full/);
  await assert.rejects(at(1_000), /the disk is full/);
  await assert.rejects(at(1_001), /the disk is full/);
  fail(false);
  await at(1_002);
  await at(1_003);
  assert.deepEqual(looks, [1_000, 1_000, 1_001, 1_002]);
});

Deno.test("what is expected earlier brings a look forward, also when it is said during a look", async () => {
  const { due, looks, at } = looking();
  await at(1_000);
  due.by(1_050);
  due.by(1_080);
  for (const now of [1_049, 1_050, 1_051]) await at(now);
  await due.look(1_150, 100, () => Promise.resolve(due.by(1_160)));
  await at(1_159);
  await at(1_160);
  assert.deepEqual(looks, [1_000, 1_050, 1_160]);
});

Deno.test("a failed look that expected something earlier is due at once all the same", async () => {
  const { due, looks, at } = looking();
  const failing = due.look(1_000, 100, () => {
    due.by(5_000);
    return Promise.reject(new Error("x"));
  });
  await assert.rejects(failing);
  await at(1_000);
  assert.deepEqual(looks, [1_000]);
});
