import assert from "node:assert/strict";
import { type Runnable, Schedule } from "../../runtime/core/schedule.ts";

const runnable = (tree_id: string, priority: number, address = tree_id): Runnable => ({
  address,
  tree_id,
  priority,
  urgent: false,
});

/** Takes so many turns; whoever ran wants to run again. */
function turns(schedule: Schedule, times: number): Record<string, number> {
  const taken: Record<string, number> = {};
  for (let turn = 0; turn < times; turn++) {
    const next = schedule.take()!;
    taken[next.tree_id] = (taken[next.tree_id] ?? 0) + 1;
    schedule.add(next);
  }
  return taken;
}

Deno.test("a tree of priority 9 gets ten turns for one of priority 0", () => {
  const schedule = new Schedule();
  schedule.add(runnable("high", 9));
  schedule.add(runnable("low", 0));
  const taken = turns(schedule, 1100);
  assert.ok(Math.abs(taken.high - 1000) <= 2, JSON.stringify(taken));
  assert.ok(Math.abs(taken.low - 100) <= 2, JSON.stringify(taken));
});

Deno.test("a tree of priority 0 is not starved by many of priority 9", () => {
  const schedule = new Schedule();
  for (let at = 0; at < 9; at++) schedule.add(runnable(`high-${at}`, 9));
  schedule.add(runnable("low", 0));
  const taken = turns(schedule, 910);
  assert.ok(taken.low >= 9, JSON.stringify(taken));
});

Deno.test("trees of equal priority take turns whatever number of actors each has", () => {
  const schedule = new Schedule();
  for (let at = 0; at < 50; at++) schedule.add(runnable("crowd", 5, `crowd-${at}`));
  schedule.add(runnable("single", 5));
  const taken = turns(schedule, 100);
  assert.ok(Math.abs(taken.single - 50) <= 1, JSON.stringify(taken));
});

Deno.test("a tree that joins late starts level, without credit for the time before", () => {
  const schedule = new Schedule();
  schedule.add(runnable("old", 5));
  turns(schedule, 1000);
  schedule.add(runnable("new", 5));
  const taken = turns(schedule, 100);
  assert.ok(Math.abs(taken.old - 50) <= 1, JSON.stringify(taken));
});

Deno.test("a tree that was idle comes back without credit for the time of its absence", () => {
  const schedule = new Schedule();
  schedule.add(runnable("busy", 5));
  schedule.add(runnable("idle", 5));
  schedule.remove("idle");
  turns(schedule, 1000);
  schedule.add(runnable("idle", 5));
  const taken = turns(schedule, 100);
  assert.ok(Math.abs(taken.busy - 50) <= 1, JSON.stringify(taken));
});

Deno.test("a tree gains nothing by running dry after each of its turns", () => {
  const schedule = new Schedule();
  schedule.add(runnable("steady", 9));
  schedule.add(runnable("dry", 0));
  const taken: Record<string, number> = { steady: 0, dry: 0 };
  for (let turn = 0; turn < 550; turn++) {
    const next = schedule.take()!;
    taken[next.tree_id]++;
    // The dry tree is put back one turn later, when it had nobody waiting for a while.
    if (next.tree_id === "dry") {
      const other = schedule.take()!;
      taken[other.tree_id]++;
      schedule.add(other);
    }
    schedule.add(next);
  }
  assert.ok(taken.steady >= taken.dry * 9, JSON.stringify(taken));
});

Deno.test("actors of one tree run in the order in which they became runnable", () => {
  const schedule = new Schedule();
  for (const address of ["c", "a", "b"]) schedule.add(runnable("tree", 5, address));
  assert.deepEqual([1, 2, 3].map(() => schedule.take()!.address), ["c", "a", "b"]);
});

Deno.test("an actor that is added while it waits is taken once and keeps its place", () => {
  const schedule = new Schedule();
  for (const address of ["a", "b", "a"]) schedule.add(runnable("tree", 5, address));
  assert.equal(schedule.size, 2);
  assert.deepEqual([1, 2].map(() => schedule.take()!.address), ["a", "b"]);
  assert.equal(schedule.take(), null);
  assert.equal(schedule.size, 0);
});

Deno.test("a removed actor is not taken", () => {
  const schedule = new Schedule();
  schedule.add(runnable("tree", 5, "a"));
  schedule.add(runnable("tree", 5, "b"));
  schedule.remove("a");
  schedule.remove("nobody");
  assert.equal(schedule.size, 1);
  assert.equal(schedule.take()!.address, "b");
});
